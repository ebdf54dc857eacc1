"""What may be done to a history.  A new operator is one file and one line here."""

from augment.correlated import CorrelatedItems, Correlation
from augment.crop import Crop
from augment.insert import Insert
from augment.mask import Mask
from augment.neighbours import Neighbours
from augment.operator import CorrelatedOperator, Operator, bind
from augment.reorder import Reorder
from augment.sequences import MASK, PADDING, Sequences, TrainHistories
from augment.substitute import Substitute
from augment.time_gaps import TimeCrop, TimeInsert, TimeMask, TimeReorder, TimeSubstitute
from augment.views import draw_two_views, identity_rate

OPERATORS: dict[str, type[Operator]] = {
    "crop": Crop,
    "mask": Mask,
    "reorder": Reorder,
    "substitute": Substitute,
    "insert": Insert,
    "time_crop": TimeCrop,
    "time_mask": TimeMask,
    "time_reorder": TimeReorder,
    "time_substitute": TimeSubstitute,
    "time_insert": TimeInsert,
}

__all__ = [
    "MASK",
    "OPERATORS",
    "PADDING",
    "CorrelatedItems",
    "CorrelatedOperator",
    "Correlation",
    "Crop",
    "Insert",
    "Mask",
    "Neighbours",
    "Operator",
    "Reorder",
    "Sequences",
    "Substitute",
    "TimeCrop",
    "TimeInsert",
    "TimeMask",
    "TimeReorder",
    "TimeSubstitute",
    "TrainHistories",
    "bind",
    "draw_two_views",
    "identity_rate",
]
