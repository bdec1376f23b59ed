"""Where an archive comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from glassbox.params.base import Frozen, Sha256, Share

#: One module a cohort. They are only listed: to import one takes pandas.
_COHORTS = Path(__file__).parents[1] / "cohorts"


def _is_a_cohort(layout: str) -> str:
    known = sorted(path.stem for path in _COHORTS.glob("[!_]*.py"))
    if layout not in known:
        raise ValueError(f"no module of src/glassbox/cohorts/; there are: {', '.join(known)}")
    return layout


#: Name of the module of `glassbox.cohorts` that reads the archive's tables.
Layout = Annotated[str, AfterValidator(_is_a_cohort)]


class Source(Frozen):
    """What every source has."""

    layout: Layout
    #: Share of the listed images that the archive may lack (people do have part of NIH).
    missing_share: Share = 0.0
    #: Share of the archive's images that its tables may fail to list.
    unlisted_share: Share = 0.0


class PhantomSource(Source):
    """Generated chest films in NIH's layout."""

    kind: Literal["phantom"]
    layout: Literal["nih"]
    seed: NonNegativeInt
    #: Number of patients; films follow from NIH's skew, about 3.6 a patient.
    patients: PositiveInt
    #: Number of the first patient, so that two sources can hold different people.
    first_patient: PositiveInt = 1
    #: Width and height of a film in pixels.
    size: Annotated[int, Field(ge=32, le=4096)]
    #: Share of films with a finding, where it is to differ from NIH's.
    prevalence: dict[str, Share] = Field(default={})


class ArchiveSource(Source):
    """A zip that is on disk already."""

    kind: Literal["archive"]
    path: Path
    sha256: Sha256


class KaggleSource(Source):
    """A dataset of Kaggle, at a pinned version."""

    kind: Literal["kaggle"]
    ref: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")]
    #: Without one the download is refused, and the newest one is named so that it gets written down.
    version: PositiveInt | None = None


AnySource = Annotated[PhantomSource | ArchiveSource | KaggleSource, Field(discriminator="kind")]
