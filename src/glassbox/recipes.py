"""The recipe of an experiment: what its parameters imply, worked out once for every stage that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from glassbox.artifacts import cells, recipe
from glassbox.artifacts.experiment import CONSUMER, Resolved
from glassbox.artifacts.recipe import EvaluateRecipe, PhaseRecipe, PredictRecipe
from glassbox.errors import GlassboxError
from glassbox.params.datasets import Dataset
from glassbox.params.experiments import NO_CHOICE, PHASES, AllButLastLayers, Experiment, Phase, PhaseName
from glassbox.params.read import block
from glassbox.params.sources import AnySource
from glassbox.params.splits import Split
from glassbox.params.weights import NoWeights, Weights

if TYPE_CHECKING:
    from glassbox.artifacts.cells import Cell
    from glassbox.params.base import Frozen


R = TypeVar("R", bound="Frozen")


class RecipeError(GlassboxError):
    """An experiment cannot take what its grid chose."""


def write(experiment: str) -> None:
    """Writes the recipe of an experiment of params.yaml, one file a stage that needs some of it.

    Raises: as `resolve`.
    """
    recipe.write(experiment, resolve(experiment))


def resolve(experiment: str) -> dict[str, Frozen]:
    """The recipe of an experiment of params.yaml: what each stage needs of it, by the name of its file.

    Raises:
        ParamsError: One of its blocks is missing or wrong.
        ArtifactError: The choice of its grid is missing or damaged.
        RecipeError: The grid chose fewer cells than the experiment's rank.
    """
    whole = mounted(experiment)
    whole = with_cell(whole, _chosen(whole)) if whole.settings.choice.file != NO_CHOICE else whole
    whole = thawed(whole)
    return {
        **{name: phase(whole, name) for name in PHASES},
        "predict": _part(PredictRecipe, whole),
        "evaluate": _part(EvaluateRecipe, whole, early_stopping=whole.settings.fine_tune.early_stopping),
        CONSUMER: whole,
    }


def _part(kind: type[R], whole: Resolved, **others: Any) -> R:
    """The fields of a recipe, by their names: the experiment's own, what its split says, and others."""
    of_split = {"dataset": whole.split.dataset, "task": whole.split.labels.task}
    known = {**dict(whole.settings), "experiment": whole.key, **of_split, **others}
    return kind(**{name: known[name] for name in kind.model_fields})


def mounted(experiment: str) -> Resolved:
    """An experiment of params.yaml with the blocks that it names, nothing resolved.

    Raises:
        ParamsError: One of the blocks is missing or wrong.
    """
    settings: Experiment = block("experiments", experiment, Experiment)
    split: Split = block("splits", settings.split, Split)
    return Resolved(
        key=experiment,
        settings=settings,
        split=split,
        dataset=block("datasets", split.dataset, Dataset),
        source=block("sources", split.source, AnySource),
        weights=block("weights", settings.weights, Weights),
    )


def phase(whole: Resolved, name: PhaseName) -> PhaseRecipe:
    """What a phase of an experiment runs with."""
    return _part(PhaseRecipe, whole, phase=getattr(whole.settings, name))


def with_cell(whole: Resolved, cell: Cell) -> Resolved:
    """An experiment with the images and the frozen layers of a cell of a grid, in place of its own."""
    settings = whole.settings
    changed = settings.model_copy(
        update={
            "training": settings.training.model_copy(update={"images": cell.images}),
            "fine_tune": settings.fine_tune.model_copy(
                update={"freeze": AllButLastLayers(all_but_last=cell.all_but_last)}
            ),
        }
    )
    return whole.model_copy(update={"settings": changed})


def _chosen(whole: Resolved) -> Cell:
    choice = whole.settings.choice
    best = cells.read(choice.file, f"choose@{choice.file.stem}")
    if choice.rank > len(best):
        place = f"experiments.{whole.key}.choice.rank"
        raise RecipeError(
            f"{place}: {choice.rank} of {len(best)} in {choice.file}",
            f"a rank from 1 to {len(best)}",
            f"lower {place}, or raise the grid's choices",
        )
    return best[choice.rank - 1]


def thawed(whole: Resolved) -> Resolved:
    """An experiment as it runs, with the departures that it has in the end.

    From random weights a frozen backbone would teach its head nothing, so none is frozen.
    """
    settings = whole.settings
    departures = {name: said for name, said in settings.departures.items() if said is not None}
    changed: dict[str, object] = {}
    phases: dict[PhaseName, Phase] = {name: getattr(settings, name) for name in PHASES}
    for name, phase in phases.items():
        if isinstance(whole.weights, NoWeights) and phase.epochs > 0 and phase.freeze != "nothing":
            changed[name] = phase.model_copy(update={"freeze": "nothing"})
            departures[f"{name}.freeze"] = (
                f"Weights are random, so nothing is frozen in the {name.replace('_', '-')}: a frozen random "
                "backbone learns nothing."
            )
    update = {"settings": settings.model_copy(update={**changed, "departures": departures})}
    return whole.model_copy(update=update)
