"""Objectives as functions of tensors and of what their fields say: no device, no framework."""

from models.losses.full_softmax import cross_entropy
from models.losses.info_nce import info_nce
from models.losses.representation import alignment, uniformity

__all__ = ["alignment", "cross_entropy", "info_nce", "uniformity"]
