"""What every block of parameters is made of."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
#: Keys become names of files, stages and runs.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Backbone = Literal["compact", "vgg16", "resnet50", "inceptionv3"]
#: What is asked of a film: one finding or not, one of many, or each of many.
Task = Literal["binary", "single_label", "multi_label"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class Frozen(pydantic.BaseModel):
    """A block of parameters or of a file: immutable, and without room for an unknown key."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
