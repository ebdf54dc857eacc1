"""What may be done to a history.  A new operator is one file and one line here."""

from augment.crop import Crop
from augment.mask import Mask
from augment.operator import Operator
from augment.reorder import Reorder
from augment.sequences import MASK, PADDING, Sequences, TrainHistories
from augment.views import draw_two_views, identity_rate

OPERATORS: dict[str, type[Operator]] = {
    "crop": Crop,
    "mask": Mask,
    "reorder": Reorder,
}

__all__ = [
    "MASK",
    "OPERATORS",
    "PADDING",
    "Crop",
    "Mask",
    "Operator",
    "Reorder",
    "Sequences",
    "TrainHistories",
    "draw_two_views",
    "identity_rate",
]
