"""What is made of an archive: shards at a size, and splits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from glassbox.params.base import Frozen, Key, Share

Method = Literal["area", "article"]


class Dataset(Frozen):
    """A source at a size."""

    source: Key
    #: Width and height of the stored images in pixels.
    size: Annotated[int, Field(ge=16, le=2048)]
    #: How images are scaled: by the mean over areas, or as the 2018 article's script did.
    method: Method = "area"
    #: Images in one shard, which is one task of the cluster.
    shard_images: PositiveInt = 256
    #: Share of the images that may be unreadable before the stage fails.
    rejected_share: Share = 0.001


class Labels(Frozen):
    """A binary question: one finding against another, or against everything else (`rest`)."""

    positive: str
    negative: str = "No Finding"

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}")
        return self


class Split(Frozen):
    """Who is in, in which fold, and how often an image is shown in an epoch."""

    #: The source whose images are split.
    source: Key
    #: The dataset of it whose rejected images are left out and whose pixels the statistics describe.
    dataset: Key
    labels: Labels
    #: Use the archive's own test list as the test fold; otherwise cut one of `test` of the patients.
    official_test: bool
    test: Share = 0.2
    #: Share of the remaining patients that becomes the validation fold.
    validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    #: Number of images to sample before splitting, or null for all.
    sample: PositiveInt | None = None
    #: How many images of each class an epoch of training shows: a number, the largest or smallest class's, or
    #: `none` for every image once.
    balance: PositiveInt | Literal["largest", "smallest", "none"]
    seed: NonNegativeInt
