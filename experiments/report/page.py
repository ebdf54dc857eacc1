"""All chosen studies as one page that needs nothing but itself."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from experiments.report.notes import METHOD
from experiments.report.sheet import Cell, Sheet
from experiments.report.style import Plot, inline

FRAME = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Chapter:
    """One study: a sheet and its plots for each data set."""

    study: str
    question: str
    sheets: tuple[tuple[Sheet, tuple[Plot, ...]], ...]


def page(chapters: list[Chapter]) -> str:
    """HTML; everything that the results say is escaped, every id occurs once."""
    links = [
        f'<li><a href="#study-{number}">{escape(chapter.study)}</a>: '
        f"{escape(chapter.question)}</li>"
        for number, chapter in enumerate(chapters, 1)
    ]
    sections = [section(chapter, number) for number, chapter in enumerate(chapters, 1)]
    frame = Template(FRAME.read_text(encoding="utf-8"))
    return frame.substitute(
        links="\n".join(links),
        method="\n".join(f"<li>{escape(sentence)}</li>" for sentence in METHOD),
        sections="\n".join(sections),
    )


def section(chapter: Chapter, number: int) -> str:
    heading = f"study-{number}-heading"
    parts = [
        f'<section id="study-{number}" aria-labelledby="{heading}">',
        f'<h2 id="{heading}">{escape(chapter.study)}</h2>',
        f"<p>{escape(chapter.question)}</p>",
    ]
    for place, (sheet, plots) in enumerate(chapter.sheets, 1):
        name = f"study-{number}-{place}"
        parts.append(table(sheet))
        parts += [figure(plot, f"{name}-{index}-") for index, plot in enumerate(plots, 1)]
    return "\n".join([*parts, "</section>"])


def table(sheet: Sheet) -> str:
    """In a region of its own that scrolls, by keyboard too."""
    title = escape(sheet.title)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in sheet.columns)
    rows = "\n".join(row(cells) for cells in sheet.rows)
    said = (*sheet.notes, *sheet.origins)
    notes = "".join(f"<p>{escape(note)}</p>" for note in said)
    return (
        f'<h3>{title}</h3>\n<div class="wide" role="region" tabindex="0" aria-label="{title}">\n'
        f"<table>\n<caption>Metrics, and differences from the baseline</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n"
        f'<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n<div class="notes">{notes}</div>'
    )


def row(cells: tuple[Cell, ...]) -> str:
    first, *rest = cells
    data = "".join(f"<td>{shown(cell)}</td>" for cell in rest)
    return f'<tr><th scope="row">{shown(first)}</th>{data}</tr>'


def shown(cell: Cell) -> str:
    text = escape(cell.text)
    text = f"<strong>{text}</strong>" if cell.best else text
    return f'{text}<abbr title="significant">*</abbr>' if cell.significant else text


def figure(plot: Plot, prefix: str) -> str:
    """A drawing with what it shows in words."""
    label = escape(f"{plot.title}. {plot.text}")
    return (
        f'<figure>\n<div role="img" aria-label="{label}">{inline(plot.svg, prefix)}</div>\n'
        f"<figcaption>{escape(plot.title)}. {escape(plot.caption)}</figcaption>\n</figure>"
    )
