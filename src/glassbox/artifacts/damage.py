"""The one refusal of what passes between stages: which file it is, what is wrong with it, who makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from pathlib import Path


class ArtifactError(GlassboxError):
    """A file that one stage wrote for another is missing, or is not what was written.

    Args:
        path: The file.
        what: What is wrong with it, as the end of a sentence that begins with its path.
        stage: The stage that makes it, as `dvc repro` takes it: `split@infiltration`.
    """

    def __init__(self, path: Path, what: str, stage: str) -> None:
        super().__init__(
            f"{path} {what}",
            f"the file as stage {stage} wrote it",
            f"run `dvc checkout {path}`, or `dvc repro --force {stage}`, which makes it anew",
        )
