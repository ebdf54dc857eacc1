"""A few made-up lines of each raw file that is known by name, with its traps."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Content = str | Callable[[Path], None]
"""Text (packed where the name ends in .gz), or what writes the file."""


@dataclass(frozen=True)
class RawCase:
    """Raw files of a data set, and what is to come of them: users, items, interactions kept."""

    name: str
    files: dict[str, Content]
    kept: tuple[int, int, int]
    first: list[tuple[str, str]]  # the first user's items and times, as they are written
    titles: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=lambda: {"k_core": 1})

    def write(self, folder: Path) -> Path:
        """Write the files and return the first of them, which is the source."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            path = folder / name
            if callable(content):
                content(path)
            else:
                raw = content.encode()
                path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return folder / next(iter(self.files))

    def __str__(self) -> str:
        return f"{self.name}:{next(iter(self.files))}"


def rows(form: str, *lines: str) -> str:
    """Lines, each with the fields of a line of `lines` put into the form."""
    return "".join(form.format(*line.split()) + "\n" for line in lines)


# user, item, time in seconds; u1 has a repeat, u3 only one interaction; in no order of time
LINES = ("7 10 978300760", "7 3 978300700", "7 21 978300760", "7 3 978300900",
         "8 10 978300100", "8 21 978300200", "8 3 978300300", "9 10 978300000")  # fmt: skip
FIRST = [("3", "978300700"), ("10", "978300760"), ("21", "978300760"), ("3", "978300900")]
KEPT = (2, 3, 7)
TITLES = {"10": '"Heat" (1995)', "3": "Up, The"}
MOVIES_CSV = 'movieId,title,genres\n10,"""Heat"" (1995)",Crime\n3,"Up, The",Comedy\n99,Other,x\n'
MOVIES_DAT = '10::"Heat" (1995)::Crime\n3::Up, The::Comedy\n'
REVIEW = '{{"reviewerID": "{0}", "asin": "{1}", "overall": 5.0, "unixReviewTime": {2}}}'
REVIEW = '{{"overall": 5.0, "reviewText": "a \\"b\\", c", ' + REVIEW[2:]
LITERAL_META = """{'asin': '10', 'title': '"Heat" (1995)'}
{'asin': '3', 'title': "Up, The"}
{'asin': '4'}
"""
JSON_META = '{"asin": "10", "title": "\\"Heat\\" (1995)"}\n{"asin": "3", "title": "Up, The"}\n'
AS_ISO = {  # the seconds above as dates
    "978300760": "2000-12-31T22:12:40", "978300700": "2000-12-31T22:11:40",
    "978300900": "2000-12-31T22:15:00", "978300100": "2000-12-31T22:01:40",
    "978300200": "2000-12-31T22:03:20", "978300300": "2000-12-31T22:05:00",
    "978300000": "2000-12-31T22:00:00",
}  # fmt: skip
ISO = tuple(" ".join([*line.split()[:2], AS_ISO[line.split()[2]]]) for line in LINES)
CHECKIN = "{0}\t{2}Z\t30.26\t-97.74\t{1}"
PLAYED = '{0}\t{2}Z\tartist\t"Heat (Live)\t{1}\tsome "title'
SPACED = tuple(line.replace("T", " ") for line in ISO)  # the date is two fields
DAYS = ("7 10 2016-05-10 1500", "7 3 2016-05-09 70000", "7 21 2016-05-09 500",
        "8 10 2016-05-09 1", "8 21 2016-05-09 2", "8 3 2016-05-09 3",
        "9 10 2016-05-09 0", "7 3 2016-05-11 5")  # fmt: skip
BEHAVIORS = (
    "1\tU7\t11/13/2019 8:36:57 AM\tN1 N2\tN3-1 N4-0\n"
    "2\tU7\t11/12/2019 6:11:30 PM\tN1 N2\tN5-0 N6-1 N7-1\n"
    "3\tU8\t11/14/2019 8:00:00 AM\tN1 N3 N6\tN9-0\n"  # nothing clicked
    "4\tU9\t11/14/2019 8:00:01 AM\t\tN3-1\n"
)
READ = '{{"review_id": "r", "user_id": "{0}", "business_id": "{1}", "stars": 4.0, "text": "x, y", '
YELP = READ + '"date": "{2} {3}"}}'
STEAM = (
    "{{u'username': u'{0}', u'hours': 0.1, u'product_id': u'{1}', u'date': u'{2}', u'ok': True}}"
)
BEER = (
    "{{'beer/name': 'A \"B\"', 'beer/beerId': '{1}', 'review/time': '{2}', "
    "'review/profileName': '{0}'}}"
)
DATED = tuple(" ".join([*line.split()[:2], day]) for line, day in zip(
    LINES, ("2015-05-02", "2014-01-01", "2015-05-03", "2016-01-01", "2010-01-01", "2010-01-02",
            "2010-01-03", "2010-01-01"), strict=True))  # fmt: skip
RATED = "user_id,parent_asin,rating,timestamp"
SPLIT = {
    "train": LINES[:1] + LINES[4:5],
    "valid": LINES[1:2] + LINES[5:6],
    "test": LINES[2:3] + LINES[6:7],
}


def events(path: Path) -> None:
    """Parquet, a row an event."""
    import pyarrow as arrow
    from pyarrow import parquet

    users, items, times = zip(*(map(int, line.split()) for line in LINES), strict=True)
    parquet.write_table(arrow.table({"uid": users, "timestamp": times, "item_id": items}), path)


def listened(path: Path) -> None:
    """Parquet, a row a user with lists."""
    import pyarrow as arrow
    from pyarrow import parquet

    lists: dict[int, tuple[list[int], list[int]]] = {}
    for line in LINES:
        user, item, time = map(int, line.split())
        lists.setdefault(user, ([], []))[0].append(item)
        lists[user][1].append(time)
    table = {"uid": list(lists), "item_id": [i for i, _ in lists.values()]}
    table["timestamp"] = [t for _, t in lists.values()]  # type: ignore[assignment]
    parquet.write_table(arrow.table(table), path)


def dated(path: Path) -> None:
    """Parquet with a column of times."""
    import pandas as pd

    users, items, times = zip(*(map(int, line.split()) for line in LINES), strict=True)
    table = {"user_id": users, "session_id": users, "track_id": items}
    pd.DataFrame(table | {"datetime": pd.to_datetime(times, unit="s")}).to_parquet(path)


CASES = [
    *(
        RawCase(name, {"ratings.dat": rows("{0}::{1}::5::{2}", *LINES), "movies.dat": MOVIES_DAT},
                KEPT, FIRST, TITLES)
        for name in ("ml-1m", "ml-10m")
    ),
    RawCase("ml-1m", {"ml-1m.txt": "7 3 10 21 3\n8 10 21 3\n9 10\n"}, KEPT,
            [("3", "1"), ("10", "2"), ("21", "3"), ("3", "4")]),
    RawCase("ml-1m", {"ml-1m.inter": rows("{0}\t{1}\t{2}", *LINES).join(
            ["user_id:token\titem_id:token\ttimestamp:float\n", ""])}, KEPT, FIRST),
    *(
        RawCase(name, {"ratings.csv": "userId,movieId,rating,timestamp\n"
                       + rows("{0},{1},3.5,{2}", *LINES), "movies.csv": MOVIES_CSV},
                KEPT, FIRST, TITLES)
        for name in ("ml-20m", "ml-25m", "ml-32m")
    ),
    RawCase("amazon-2014-Beauty", {"reviews_Beauty_5.json.gz": rows(REVIEW, *LINES),
            "meta_Beauty.json.gz": LITERAL_META}, KEPT, FIRST, TITLES),
    RawCase("amazon-2014-Beauty", {"ratings_Beauty.csv": rows("{0},{1},5.0,{2}", *LINES)},
            KEPT, FIRST),
    RawCase("amazon-2018-Luxury_Beauty", {"Luxury_Beauty_5.json.gz": rows(REVIEW, *LINES),
            "meta_Luxury_Beauty.json.gz": JSON_META}, KEPT, FIRST, TITLES),
    RawCase("amazon-2018-All_Beauty", {"All_Beauty.csv": rows("{1},{0},5.0,{2}", *LINES)},
            KEPT, FIRST),
    RawCase("amazon-2023-All_Beauty", {"All_Beauty.csv.gz": RATED + "\r\n"
            + rows("{0},{1},5.0,{2}123\r", *LINES)}, KEPT,
            [(item, f"{time}.123") for item, time in FIRST]),
    RawCase("steam", {"steam_reviews.json.gz": rows(STEAM, *DATED)}, KEPT,
            [("3", "1388534400"), ("10", "1430524800"), ("21", "1430611200"), ("3", "1451606400")]),
    RawCase("yelp", {"yelp_academic_dataset_review.json": rows(YELP, *SPACED)}, KEPT, FIRST),
    RawCase("gowalla", {"loc-gowalla_totalCheckins.txt.gz": rows(CHECKIN, *ISO)}, KEPT, FIRST),
    RawCase("lastfm-1k", {"userid-timestamp-artid-artname-traid-traname.tsv":
            rows(PLAYED, *ISO) + PLAYED.format("7", "", "2000-01-01T00:00:00") + "\n"},
            KEPT, FIRST),
    RawCase("retailrocket", {"events.csv": "timestamp,visitorid,event,itemid,transactionid\n"
            + rows("{2}000,{0},view,{1},", *LINES) + "978300100000,7,addtocart,5,\n"}, KEPT, FIRST),
    RawCase("diginetica", {"train-item-views.csv": "sessionId;userId;itemId;timeframe;eventdate\n"
            + rows("{0};NA;{1};{3};{2}", *DAYS)}, KEPT,
            [("21", "1462752000.5"), ("3", "1462752070.0"), ("10", "1462838401.5"),
             ("3", "1462924800.005")]),
    RawCase("yoochoose", {"yoochoose-clicks.dat": rows("{0},{2}.277Z,{1},0", *ISO)}, KEPT,
            [(item, f"{time}.277") for item, time in FIRST]),
    RawCase("mind", {"behaviors.tsv": BEHAVIORS,
            "news.tsv": 'N3\tsports\tgolf\tA "B", C\tx\t\t\t\n'},
            (2, 5, 8),
            [("N1", "1573582288"), ("N2", "1573582289"), ("N6", "1573582290"),
             ("N7", "1573582290"), ("N3", "1573634217")], {"N3": 'A "B", C'}),
    RawCase("kuairec", {"big_matrix.csv": "user_id,video_id,timestamp,watch_ratio\n"
            + rows("{0},{1},{2}.5,1.25", *LINES) + "7,4,978300000,0.5\n"}, KEPT,
            [(item, f"{time}.5") for item, time in FIRST], {}, {"min": {"watch_ratio": 1.0}}),
    RawCase("yambda", {"listens.parquet": events}, KEPT, FIRST),
    RawCase("yambda", {"likes.parquet": listened}, KEPT, FIRST),
    RawCase("zvuk", {"zvuk-interactions.parquet": dated}, KEPT, FIRST),
    RawCase("beeradvocate", {"beeradvocate.json.gz":
            rows(BEER, *LINES) + BEER.format("", "10", "978300000")}, KEPT, FIRST),  # nobody's
]  # fmt: skip
