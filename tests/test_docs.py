"""Pages are what the code says, and no longer than they may be."""

from __future__ import annotations

from experiments.cli.field_reference import PAGE, field_reference, with_reference
from experiments.storage.files import REPOSITORY


def test_the_page_holds_the_fields_of_today() -> None:
    """`python -m experiments.cli.field_reference` mends it."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_reference(page)


def test_every_field_has_a_meaning() -> None:
    rows = [line for line in field_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if not row.split(" | ")[3].strip()] == []


def test_every_kind_has_a_table_or_a_sentence() -> None:
    from augment import OPERATORS
    from experiments.config.typed import CATALOGUES

    text = field_reference()
    for tag, catalogue in CATALOGUES.values():
        for name in catalogue:
            title = f"Operator `{name}`" if catalogue is OPERATORS else f"{tag}={name}`"
            assert title in text


def test_the_benchmark_page_is_at_most_300_lines() -> None:
    """Full tables have pages of their own in experiments/results/tables."""
    page = REPOSITORY / "experiments" / "BENCHMARK.md"
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 300
