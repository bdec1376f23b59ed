"""The code behind every stage: what its script reaches, digested."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from glassbox.artifacts import code
from glassbox.artifacts.code import Code
from glassbox.code import locked, normal_form
from glassbox.code.reach import listed, reach

if TYPE_CHECKING:
    from pathlib import Path

# Where a walk from import to import is wrong about what an output depends on; tests keep both lists short.

#: Name -> what comes with it, although no module of ours says so: of the packages behind a package, those that
#: compute or write what gets into an output.
UNSEEN: dict[str, tuple[str, ...]] = {
    # Its backend, by whose kernels a model is trained; 16-bit floats; the files of weights and models.
    "keras": ("tensorflow", "ml_dtypes", "h5py"),
    # What its loops are compiled with.
    "numba": ("llvmlite",),
    "skimage": ("scipy",),
    "sklearn": ("scipy",),
    "pandas": ("numpy",),
    # It writes a figure's PNG with the one and places the figure's parts with the other.
    "matplotlib": ("PIL", "kiwisolver"),
    # It escapes what a page quotes.
    "jinja2": ("markupsafe",),
}

#: What a stage reaches, although it cannot change a byte of a tracked output; nor is it walked through.
HARMLESS: tuple[str, ...] = (
    # An observer: what it writes is MLflow's.
    "glassbox.tracking",
    # The entry of a stage: one key, one lock, one message.
    "glassbox.stage",
    # What writes these digests down.
    "glassbox.code",
    # They read parameters, whose values DVC compares by itself.
    "pydantic",
    "yaml",
    # Bars on the terminal; locks between processes.
    "tqdm",
    "filelock",
    # They move tasks to workers and results back.
    "dask",
    "distributed",
    # What they fetch has the digest that was promised for it, or is refused.
    "kaggle",
    "kagglesdk",
    "requests",
    "urllib3",
)


def write_all(root: Path) -> None:
    """Writes `data/code/<name>.json` for everything that `digests` names."""
    for name, content in digests(root).items():
        code.write(name, content, root)


def digests(root: Path) -> dict[str, Code]:
    """What each stage of the project at `root` runs, but for the one that makes this; and parts that stages share.

    Returns:
        Name -> its code. A stage has the name of its script in `stages/`. A cohort is `cohorts.<its module>`, as
        the stage that reads an archive's tables loads one of them by name. `pixels` is what makes a shard and
        `cell` what trains a cell of a grid: only with other code than that are they made anew.

    Raises:
        GlassboxError: An import has no package, or a package no one version, in uv.lock.
    """
    starts = {
        **{path.stem: path for path in (root / "stages").glob("*.py") if path.stem != code.STAGE},
        **{f"cohorts.{path.stem}": path for path in (root / "src/glassbox/cohorts").glob("[!_]*.py")},
        # It reaches what decodes, resizes and writes an image, and nothing of how shards are dealt out to workers.
        "pixels": root / "src/glassbox/shards/shard.py",
        # The training of one cell of a grid, likewise.
        "cell": root / "src/glassbox/grids/cell.py",
    }

    @cache
    def digest(path: Path) -> str:
        content = (root / path).read_bytes()
        return normal_form.digest(content) if path.suffix == ".py" else hashlib.sha256(content).hexdigest()

    found, listing = {}, listed(root)
    for name, start in starts.items():
        reached = reach(root, start.relative_to(root), UNSEEN, HARMLESS, listing)
        modules = {path.as_posix(): digest(path) for path in reached.files}
        found[name] = Code(dict(sorted(modules.items())), locked.packages(root, reached.packages))
    return found
