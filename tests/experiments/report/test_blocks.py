"""Text between markers is of the results; all other text is not touched."""

from __future__ import annotations

import pytest

from experiments.errors import UsageError
from experiments.report.blocks import blocks, rewritten

TEXT = """before `<!-- report: shown -->` in a line is no marker
<!-- report: one -->
old
<!-- end report -->
between
<!-- report: two brief -->
<!-- end report -->
after
"""
OPTIONS = ("brief", "findings")
WRITERS = {"one": lambda option: f"ONE {option}", "two": lambda option: f"TWO {option}"}


def test_a_block_is_rewritten_and_nothing_else() -> None:
    text, stale = rewritten(TEXT, blocks(TEXT, "README.md", WRITERS, OPTIONS), WRITERS)
    assert stale == ["one", "two"]
    assert text == TEXT.replace("\nold\n", "\n\nONE None\n\n").replace(
        "two brief -->\n", "two brief -->\n\nTWO brief\n\n"
    )


def test_what_is_right_is_not_stale() -> None:
    text, _ = rewritten(TEXT, blocks(TEXT, "README.md", WRITERS, OPTIONS), WRITERS)
    assert rewritten(text, blocks(text, "README.md", WRITERS, OPTIONS), WRITERS) == (text, [])


def test_blocks_of_other_studies_stay() -> None:
    some = {"two": WRITERS["two"]}
    text, stale = rewritten(TEXT, blocks(TEXT, "README.md", WRITERS, OPTIONS), some)
    assert stale == ["two"]
    assert "\nold\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<!-- report: on -->\n<!-- end report -->",
            r"no results of 'on' \(did you mean 'one'\?\)",
        ),
        ("<!-- report: one -->\n", "the block 'one' has no <!-- end report -->"),
        (
            "<!-- report: one -->\n<!-- report: two -->\n<!-- end report -->",
            "the block 'one' has no",
        ),
        (
            "<!-- report: one long -->\n<!-- end report -->",
            "unknown option 'long'; known: brief, findings",
        ),
    ],
)
def test_a_block_that_cannot_be_filled_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^README.md: .*{message}"):
        blocks(text, "README.md", WRITERS, OPTIONS)
