"""Objectives as pure functions of tensors: no device, no state, no framework."""

from models.losses.info_nce import info_nce
from models.losses.next_item import cross_entropy
from models.losses.representation import alignment, uniformity

__all__ = ["alignment", "cross_entropy", "info_nce", "uniformity"]
