"""The door of a stage: its key and parameters, its lock, and one message for a user's mistake."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.errors import GlassboxError, ParamsError
from glassbox.files import locked
from glassbox.params import Params, load

if TYPE_CHECKING:
    from collections.abc import Callable


def enter(stage: str, work: Callable[[Params, str], None], section: str | None = None) -> None:
    """Runs `work(params, key)` for the key on the command line, alone of its stage and key.

    A `GlassboxError` is printed to standard error as one message and ends the process with status 1.

    Args:
        stage: Name of the stage in `dvc.yaml`.
        work: What the stage does. It gets all parameters and the key that `foreach` passes.
        section: The block of params.yaml that `foreach` goes through; a stage without `foreach` has none and
            gets an empty key.
    """
    parser = argparse.ArgumentParser(prog=f"stages/{stage}.py")
    if section:
        parser.add_argument("key", help=f"which of the {section} in {layout.PARAMS} to work on")
    key = getattr(parser.parse_args(), "key", "")
    name = f"{stage}@{key}" if key else stage
    try:
        params = load(layout.PARAMS)
        if section and key not in (known := getattr(params, section)):
            raise ParamsError(
                f"{layout.PARAMS} has no {section}.{key}",
                f"one of: {', '.join(known) or 'none'}",
                "name one of them, or compose the file anew with `glassbox use PROFILE`",
            )
        with locked(layout.WORK / "locks" / f"{name}.lock", f"stage {name}"):
            work(params, key)
    except GlassboxError as error:
        sys.exit(f"{name}: {error}")
    except FileNotFoundError as error:
        # PyArrow and h5py name the file in their text only.
        found = f"{error.filename} is not there" if error.filename else str(error)
        missing = GlassboxError(found, "what the stages before this one make", "run `dvc repro`")
        sys.exit(f"{name}: {missing}")
