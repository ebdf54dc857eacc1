"""All chosen studies as one page that needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from string import Template

from experiments.report.notes import METHOD
from experiments.report.sheet import Cell, Sheet
from experiments.report.style import Plot, inline

FRAME = Path(__file__).with_name("page.html")
FIRST = (
    "variant",
    "NDCG@10",
    "difference",
    "95 % interval",
    "p (Holm)",
    "detectable",
    "HR@10",
    "relative",
    "d_z",
)
"""The order of columns on the page, others behind them: a difference next to what it is of."""
HARD = "&nbsp;"
BROAD = 600.0  # points: a drawing of several panels


@dataclass(frozen=True)
class Part:
    """A study on one data set.

    verdict, best: the row of the summary, in one line and the highest difference.  findings:
    sentences.  searched: the trials of a search.
    """

    sheet: Sheet
    plots: tuple[Plot, ...]
    dataset: str = ""
    verdict: str = ""
    best: str = ""
    findings: tuple[str, ...] = ()
    searched: Sheet | None = None


@dataclass(frozen=True)
class Chapter:
    """One study, a part for each data set."""

    study: str
    question: str
    parts: tuple[Part, ...]


def page(chapters: list[Chapter], made: str = "") -> str:
    """HTML; everything that the results say is escaped, every id occurs once.

    made: of which date and commit it is.
    """
    sections = [section(chapter, number) for number, chapter in enumerate(chapters, 1)]
    links = [
        f'<li><a href="#study-{number}">{escape(chapter.study)}</a></li>'
        for number, chapter in enumerate(chapters, 1)
    ]
    frame = Template(FRAME.read_text(encoding="utf-8"))
    return frame.substitute(
        made=escape(made),
        links="\n".join(links),
        summary=summary(chapters),
        method="\n".join(f"<li>{escape(sentence)}</li>" for sentence in METHOD),
        sections="\n".join(sections),
    )


def summary(chapters: list[Chapter]) -> str:
    """What each study found on each data set, a row each, with a link to it."""
    rows = []
    for number, chapter in enumerate(chapters, 1):
        for place, part in enumerate(chapter.parts, 1):
            link = f'<a href="#study-{number}-{place}">{escape(chapter.study)}</a>'
            texts = (part.dataset, part.verdict, part.best)
            cells = "".join(f'<td class="words">{escape(text)}</td>' for text in texts)
            rows.append(f'<tr><th scope="row">{link}</th>{cells}</tr>')
    names = ("study", "data set", "verdict", "best difference of NDCG@10")
    heads = "".join(f'<th scope="col" class="words">{name}</th>' for name in names)
    return scrolling("Summary", "One line for each study and data set", heads, "\n".join(rows))


def section(chapter: Chapter, number: int) -> str:
    name = f"study-{number}-heading"
    parts = [
        f'<section id="study-{number}" aria-labelledby="{name}">',
        f'<h2 id="{name}">{escape(chapter.study)}</h2>',
        f"<p>{escape(chapter.question)}</p>",
        *(of_part(part, f"study-{number}-{place}") for place, part in enumerate(chapter.parts, 1)),
        "</section>",
    ]
    return "\n".join(parts)


def of_part(part: Part, name: str) -> str:
    """Findings, table and plots; published rows, notes and the trials of a search are folded."""
    own, published = split(in_order(part.sheet))
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in part.findings)
    parts = [f'<h3 id="{name}">{escape(part.sheet.title)}</h3>']
    parts += [f'<ul class="findings">{said}</ul>'] if said else []
    parts += [table(own)] if own.rows else []
    if published.rows:
        parts.append(folded(f"Published: {len(published.rows)} rows", table(published)))
    if part.searched is not None and part.searched.rows:
        trials = table(part.searched) + paragraphs(part.searched.notes)
        parts.append(folded(f"The search: {len(part.searched.rows)} trials", trials))
    if notes := paragraphs((*part.sheet.notes, *part.sheet.origins)):
        parts.append(folded("Notes", notes))
    figures = [figure(plot, f"{name}-{index}-") for index, plot in enumerate(part.plots, 1)]
    parts += ['<div class="figures">', *figures, "</div>"] if figures else []
    return "\n".join(parts)


def in_order(sheet: Sheet) -> Sheet:
    """With the columns of FIRST first."""
    order = sorted(range(len(sheet.columns)), key=lambda place: rank(sheet.columns[place]))
    rows = tuple(tuple(cells[place] for place in order) for cells in sheet.rows)
    return replace(sheet, columns=tuple(sheet.columns[place] for place in order), rows=rows)


def rank(column: str) -> int:
    return FIRST.index(column) if column in FIRST else len(FIRST)


def split(sheet: Sheet) -> tuple[Sheet, Sheet]:
    """Our rows, and the published ones, which have no seeds, with the columns that they fill."""
    if "seeds" not in sheet.columns:
        return sheet, replace(sheet, rows=())
    seeds = sheet.columns.index("seeds")
    rows = [cells for cells in sheet.rows if not cells[seeds].text]
    filled = [place for place, cells in enumerate(zip(*rows, strict=True))
              if any(cell.text for cell in cells)]  # fmt: skip
    published = replace(
        sheet,
        title=f"{sheet.title}, published",
        columns=("method (source; loss and notes)", *(sheet.columns[i] for i in filled[1:])),
        rows=tuple((named(cells[0]), *(cells[i] for i in filled[1:])) for cells in rows),
    )
    return replace(sheet, rows=tuple(row for row in sheet.rows if row not in rows)), published


def named(cell: Cell) -> Cell:
    """A published row's name where all rows are published."""
    return replace(cell, text=cell.text.removeprefix("published: "))


def table(sheet: Sheet) -> str:
    rows = "\n".join(row(cells) for cells in sheet.rows)
    return scrolling(sheet.title, sheet.title, heading(sheet.columns), rows)


def scrolling(name: str, caption: str, heads: str, rows: str) -> str:
    """A table in a region of its own that scrolls, by keyboard too."""
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(name)}">\n'
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def heading(columns: tuple[str, ...]) -> str:
    return "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)


def row(cells: tuple[Cell, ...]) -> str:
    first, *rest = cells
    data = "".join(f"<td>{shown(cell).replace(' (', '<br>(')}</td>" for cell in rest)
    return f'<tr><th scope="row">{shown(first)}</th>{data}</tr>'


def shown(cell: Cell) -> str:
    """The mean in bold where it is the best; its spread smaller, behind it."""
    number, mark, spread = cell.text.partition(" ± ")
    text = f"<strong>{escape(number)}</strong>" if cell.best else escape(number)
    text += f'{HARD}<span class="spread">±{HARD}{escape(spread)}</span>' if mark else ""
    return f'{text}<abbr title="significant">*</abbr>' if cell.significant else text


def folded(title: str, content: str) -> str:
    return f"<details>\n<summary>{escape(title)}</summary>\n{content}\n</details>"


def paragraphs(sentences: tuple[str, ...]) -> str:
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<div class="notes">{text}</div>' if text else ""


def figure(plot: Plot, prefix: str) -> str:
    """A drawing, which has its title in it, with what it shows in words."""
    label = escape(f"{plot.title}. {plot.text}")
    width = re.search(r'width="([\d.]+)pt"', plot.svg)
    broad = ' class="broad"' if width and float(width[1]) > BROAD else ""
    return (
        f'<figure{broad}>\n<div class="plot" role="img" tabindex="0" aria-label="{label}">'
        f"{inline(plot.svg, prefix)}</div>\n"
        f"<figcaption>{escape(plot.caption)}</figcaption>\n</figure>"
    )
