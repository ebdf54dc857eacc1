"""How a task asks for the features of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.item_features import ItemFeatures
from models.ranges import check_count
from models.tasks.task import Task


@dataclass(eq=False, repr=False)
class FeatureTask(Task):
    """A task that reads item features.  Whoever builds the model hands them over before it.

    models/ reads no files: `sources` says what is wanted, `take_features` takes it, and a task
    that has none refuses to be prepared.
    """

    features: str = "auto"
    """auto: what lies next to the data (attributes, or titles and genres); or a file of
    vectors (.npy, .safetensors), of attributes (.json) or of texts (.item)."""
    feature_dim: int = 64
    """Columns that a wider bag of attributes or words is reduced to; vectors stay as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sha256 = ""  # of the files that what it was given was read from
        if not self.features:
            raise ValueError("features must be auto or the name of a file")
        check_count("feature_dim", self.feature_dim)

    def sources(self) -> dict[str, str]:
        """Field -> the source it names, in the order in which features are handed over."""
        return {"features": self.features}

    def take_features(self, given: Sequence[ItemFeatures]) -> None:
        """Keep the features, one for each source.  Called before the model is built."""
        raise NotImplementedError
