"""The entry of a stage: its key, its lock, its packages, and one message for a user's mistake."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.artifacts import code
from glassbox.code import installed
from glassbox.errors import GlassboxError
from glassbox.files import locked
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Callable


def enter(stage: str, work: Callable[..., None], *, keyed: bool = True) -> None:
    """Runs the work of a stage, alone of its stage and key, with the locked packages and this project's own code.

    A `GlassboxError` is printed to standard error as one message and ends the process with status 1.

    Args:
        stage: Name of the stage in `dvc.yaml`.
        work: What the stage does. It gets the key that `foreach` passes, where there is one.
        keyed: Whether there is one.
    """
    parser = argparse.ArgumentParser(prog=f"stages/{stage}.py")
    if keyed:
        parser.add_argument("key", help="which of the blocks that `foreach` goes through in dvc.yaml to work on")
    keys = list(vars(parser.parse_args()).values())
    name = "@".join([stage, *keys])
    try:
        with locked(WORK / "locks" / f"{name}.lock", f"stage {name}"):
            installed.refuse_foreign(Path.cwd())
            if stage != code.STAGE:  # which writes down what is locked, and before which nobody knows
                installed.check(code.read(stage).packages)
            work(*keys)
    except GlassboxError as error:
        sys.exit(f"{name}: {error}")
    except FileNotFoundError as error:
        # PyArrow and h5py name the file in their text only.
        found = f"{error.filename} is not there" if error.filename else str(error)
        missing = GlassboxError(found, "what the stages before this one make", "run `dvc repro`")
        sys.exit(f"{name}: {missing}")
