"""Ranges of fields.  A value out of range is a ValueError that names the field and the range."""

from __future__ import annotations


def check_count(field: str, count: int, least: int = 1) -> None:
    """A whole number of at least `least`."""
    if count < least:
        raise ValueError(f"{field} must be at least {least}, got {count}")


def check_positive(field: str, value: float) -> None:
    """Above 0 and finite: a temperature, a standard deviation."""
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{field} must be positive, got {value}")


def check_not_negative(field: str, value: float) -> None:
    """At least 0 and finite: a weight."""
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{field} must be at least 0, got {value}")


def check_below_one(field: str, value: float) -> None:
    """In [0, 1): a probability of dropout, a momentum."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{field} must lie in [0, 1), got {value}")
