"""What the experiments were run with, side by side: parameters by their names in params.yaml, data and machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassbox.artifacts.experiment import flat
from glassbox.params.experiments import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.artifacts.experiment import Resolved
    from glassbox.params.splits import Procedure
    from glassbox.report.results import Result

#: What a procedure does to folds.
PROCEDURES: dict[Procedure, str] = {
    "by_patient": "by patient: nobody is in two folds",
    "by_image": "by image, which leaks: images of one patient fall to several folds",
    "rows_with_replacement": "rows with replacement, which leaks: one image falls to several folds",
}
#: What stands elsewhere on the page; and where a file lies, which its SHA-256 says better.
_LEFT_OUT: dict[str, Any] = {
    "key": True,
    "settings": {"title", "departures", "published"},
    "source": {"path"},
    "weights": {"path"},
}


@dataclass(frozen=True)
class Setting:
    """A setting and its value in every experiment, a dash where one does not have it."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the experiments do not all have one value."""
        return len(set(self.values)) > 1


def groups(results: Sequence[Result]) -> dict[str, list[Setting]]:
    """Title of each group -> its settings, their values in the order of the results.

    A parameter that has its default in every experiment is left out.
    """
    changed = {name for result in results for name in _parameters(result.resolved, defaults=False)}
    columns = [_column(result, changed) for result in results]
    found: dict[str, list[Setting]] = {}
    for group, name in dict.fromkeys(key for column in columns for key in column):
        values = tuple(column.get((group, name), "\N{EN DASH}") for column in columns)
        found.setdefault(group, []).append(Setting(name, values))
    return found


def _column(result: Result, shown: set[str]) -> dict[tuple[str, str], str]:
    """One experiment: group and name -> value."""
    scores, split = result.scores[VARIANTS[0]], result.resolved.split
    once_more = "; the validation fold is the test fold, which leaks" if split.validation == "test" else ""
    data = {
        "Procedure": PROCEDURES[split.procedure] + once_more,
        "Shared by folds": "; ".join(result.shared) or "no patient, image or file",
        "Test images": f"{scores.images:,}",
        "Test patients": f"{scores.patients:,}",
        "Positive, or with a finding": f"{scores.prevalence:.1%}",
        "Majority classifier": f"{scores.majority_accuracy:.3f} accuracy",
    }
    parameters = _parameters(result.resolved, defaults=True)
    return {
        **{("Folds", name): value for name, value in data.items()},
        **{(name.partition(".")[0], name): value for name, value in parameters.items() if name in shown},
        **{("Kind of machine", name.replace("_", " ")): value for name, value in flat(result.machine).items()},
    }


def _parameters(whole: Resolved, *, defaults: bool) -> dict[str, str]:
    """The parameters of an experiment, its own under their names and those of its data below the block's name.

    Args:
        whole: The experiment.
        defaults: Whether parameters that have their default are among them.
    """
    blocks = whole.model_dump(mode="json", exclude=_LEFT_OUT, exclude_defaults=not defaults)
    settings = blocks.pop("settings")
    named = {name: settings.pop(name) for name in ("split", "weights")}
    return named | flat(blocks) | flat(settings)
