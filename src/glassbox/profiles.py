"""Profiles: `conf/` composed into params.yaml with Hydra, checked before it replaces what is there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from glassbox.files import write_text
from glassbox.params import cut_archive, withdrawn
from glassbox.params.document import checked
from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS, WORK
from glassbox.report.results import stale

if TYPE_CHECKING:
    from glassbox.params.document import Params

CONF = Path("conf")
#: Values that only the composition needs.
_COMPOSITION_ONLY = ("archives", "departures")


def use(profile: str, overrides: list[str]) -> list[str]:
    """Composes params.yaml from a profile, and moves aside results of experiments that it does not have.

    Args:
        profile: A file of `conf/profile/`, without its suffix.
        overrides: Hydra overrides such as `experiments.x.training.seed=1`.

    Returns:
        Lines that say what was done.

    Raises:
        ParamsError: There is no such profile, an override does not fit, or the result is not valid; params.yaml
            is left as it was.
    """
    known = sorted(path.stem for path in (CONF / "profile").glob("*.yaml"))
    if profile not in known:
        raise ParamsError(
            f"there is no profile {profile!r} in {CONF / 'profile'}/",
            f"one of: {', '.join(known) or 'none here; run this in the project root'}",
            "name one of them, or add a file",
        )
    values = compose(profile, overrides)
    params = checked(values, f"profile {profile}")
    said = " ".join(["glassbox use", profile, *overrides])
    text = f"# Composed from conf/ by `{said}`.\n" + yaml.safe_dump(values, sort_keys=False, width=100)
    write_text(PARAMS, text)
    return [
        f"{PARAMS}: profile {profile}, experiments {', '.join(params.experiments)}",
        *(
            f"withdrawn from {source}: {len(patients):,} patients ({withdrawn.path(source)})"
            for source, patients in params.withdrawn.items()
            if patients
        ),
        *(line for source, settings in params.sources.items() for line in cut_archive.said(source, settings)),
        *_set_aside(params),
    ]


def compose(profile: str, overrides: list[str]) -> Any:
    """The values of a profile with overrides, with who is withdrawn and the archives of erasures, unchecked.

    Raises:
        ParamsError: Hydra cannot compose them, or a list of withdrawn patients or the record of an erasure cannot
            be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        composed = Path(folder) / "params.yaml"
        try:
            compose_and_dump(
                str(composed),
                str(CONF.resolve()),
                None,
                "config",
                "hydra_plugins",
                [f"profile={profile}", *overrides],
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise ParamsError(
                f"profile {profile} with {' '.join(overrides) or 'no overrides'}: {error}",
                "overrides KEY=VALUE of keys that the profile has (+KEY=VALUE adds one)",
                f"look at conf/profile/{profile}.yaml and what it mounts",
            ) from None
        values = yaml.safe_load(composed.read_text(encoding="utf-8"))
    if values["withdrawn"]:
        raise ParamsError(
            f"profile {profile}: it or an override says who is withdrawn",
            f"withdrawn patients in {withdrawn.LISTS}/, where every profile finds them",
            "take that out, and run `glassbox withdraw --source SOURCE --patient ID`",
        )
    values["withdrawn"] = withdrawn.section(values["sources"])
    values["sources"] = {
        source: cut_archive.in_its_place(source, block) for source, block in values["sources"].items()
    }
    return {key: value for key, value in values.items() if key not in _COMPOSITION_ONLY}


def _set_aside(params: Params) -> list[str]:
    """Moves what `metrics/` holds of other profiles to `work/`; the comparison refuses what it does not know."""
    said = []
    for path in stale(params):
        target = WORK / "set_aside" / path
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        said.append(f"moved {path} to {target}: it is of no entry of this profile (`dvc repro` restores its own)")
    return said
