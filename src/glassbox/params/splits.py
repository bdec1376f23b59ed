"""Who is in, in which fold, and how often shown: a split, and the question that its labels answer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from glassbox.params.base import Frozen, Key, Share


class BinaryLabels(Frozen):
    """One finding against another, or against everything else (`rest`): a softmax over two classes."""

    task: Literal["binary"]
    positive: str
    negative: str = "No Finding"

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}")
        return self


class SingleLabels(Frozen):
    """Every finding of the cohort and the absence of one, of which an image has one: a softmax over all."""

    task: Literal["single_label"]
    #: What becomes of an image with several findings: the first that its archive lists, or it is left out.
    several: Literal["first", "left_out"]


class MultiLabels(Frozen):
    """Every finding of the cohort and the absence of one, each present or not: a sigmoid a class."""

    task: Literal["multi_label"]


Labels = Annotated[BinaryLabels | SingleLabels | MultiLabels, Field(discriminator="task")]
#: How images fall to folds. `by_patient` is the clean one; the others are published, and leak.
Procedure = Literal["by_patient", "by_image", "rows_with_replacement"]


class Split(Frozen):
    """Who is in, in which fold, and how often an image is shown in an epoch."""

    #: The source whose images are split.
    source: Key
    #: The dataset of it whose rejected images are left out and whose pixels the statistics describe.
    dataset: Key
    labels: Labels
    procedure: Procedure = "by_patient"
    #: For `rows_with_replacement`: how many rows of each class are drawn before rows, not images, are split.
    rows_a_class: PositiveInt | None = None
    #: Use the archive's own test list as the test fold; otherwise cut one of `test` of each stratum's patients.
    official_test: bool
    test: Share = 0.2
    #: Share of the remaining patients that becomes the validation fold; or `test`: the test fold, once more.
    validation: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["test"]
    #: Number of images to sample before splitting, of each class by its share, or null for all.
    sample: PositiveInt | None = None
    #: How many images of each class an epoch of training shows: a number, the largest or smallest class's, or
    #: `none` for every image once.
    balance: PositiveInt | Literal["largest", "smallest", "none"]
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.procedure != "by_patient" and self.official_test:
            raise ValueError(f"procedure: {self.procedure} cuts its own test fold; set official_test to false")
        if (self.procedure == "rows_with_replacement") != (self.rows_a_class is not None):
            raise ValueError("rows_a_class belongs to procedure: rows_with_replacement, which needs it")
        if self.procedure == "rows_with_replacement" and (self.balance != "none" or self.sample is not None):
            raise ValueError(
                "procedure: rows_with_replacement balances by drawing rows; set balance to none and sample to null"
            )
        if self.labels.task == "multi_label" and self.balance != "none":
            raise ValueError(
                "balance shows each class equally often, and an image of many labels has many; set it to none"
            )
        return self
