"""The code behind every stage: what its script reaches, digested."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from glassbox.artifacts import code
from glassbox.artifacts.code import Code
from glassbox.code import cohorts, locked, normal_form
from glassbox.code.exceptions import HARMLESS, UNSEEN
from glassbox.code.reach import reach

#: The work on one shard: it reaches what decodes, resizes and writes an image, and nothing of how shards are dealt
#: out to workers.
_PIXELS = Path("src/glassbox/shards/shard.py")
_COHORTS = Path("src/glassbox/cohorts")
_STAGES = Path("stages")


def write_all(root: Path) -> None:
    """Writes `data/code/<name>.json` for everything that `digests` names.

    Raises:
        GlassboxError: An import has no package, or a package no one version, in uv.lock.
    """
    for name, content in digests(root).items():
        code.write(name, content, root)


def digests(root: Path) -> dict[str, Code]:
    """What each stage runs, but for the stage that makes this; and two parts that stages share.

    Args:
        root: The project's root.

    Returns:
        Name -> its code. A stage has the name of its script in `stages/`. A cohort is `cohorts.<its module>`, as
        the stage that reads an archive's tables loads one of them by name. `pixels` is what makes a shard: with
        other code than that, no shard of an earlier build is taken over.

    Raises:
        GlassboxError: An import has no package, or a package no one version, in uv.lock.
    """
    starts = {
        **{name: _STAGES / f"{name}.py" for name in _scripts(root) if name != code.STAGE},
        **{f"cohorts.{name}": _COHORTS / f"{name}.py" for name in cohorts.names(root / _COHORTS)},
        "pixels": _PIXELS,
    }

    @cache
    def digest(path: Path) -> str:
        content = (root / path).read_bytes()
        return normal_form.digest(content) if path.suffix == ".py" else hashlib.sha256(content).hexdigest()

    found = {}
    for name, start in starts.items():
        reached = reach(root, start, behind=UNSEEN, without=HARMLESS)
        modules = {path.as_posix(): digest(path) for path in reached.files}
        found[name] = Code(dict(sorted(modules.items())), locked.packages(root, reached.packages))
    return found


def _scripts(root: Path) -> list[str]:
    return sorted(script.stem for script in (root / _STAGES).glob("*.py"))
