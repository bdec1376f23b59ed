"""What every block of parameters is made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import AfterValidator, Field

#: One module a cohort, beside modules that are none.
_COHORTS = Path(__file__).parents[1] / "cohorts"


def _is_a_cohort(layout: str) -> str:
    """Looks into the files of the cohorts, since importing from below would be upside down, and slow."""
    parts = re.compile(r"^(?:def )?(VOCABULARY|tables)\b", re.MULTILINE)
    known = sorted(
        path.stem
        for path in _COHORTS.glob("*.py")
        if len(set(parts.findall(path.read_text(encoding="utf-8")))) == 2
    )
    if layout not in known:
        raise ValueError(
            f"no file of src/glassbox/cohorts/ with VOCABULARY and tables; there are: {', '.join(known)}"
        )
    return layout


Share = Annotated[float, Field(ge=0.0, le=1.0)]
#: Keys become names of files, stages and runs.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Name of the module of `glassbox.cohorts` that reads the archive's tables.
Layout = Annotated[str, AfterValidator(_is_a_cohort)]
Backbone = Literal["compact", "vgg16", "resnet50", "inceptionv3"]
#: What is asked of a film: one finding or not, one of many, or each of many.
Task = Literal["binary", "single_label", "multi_label"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class Frozen(pydantic.BaseModel):
    """A block of parameters: immutable, and without room for an unknown key."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
