"""A rebuild in words and numbers, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from glassbox.lineage.rebuild.comparison import Verdict

if TYPE_CHECKING:
    from glassbox.lineage.rebuild.comparison import Artifact, Pair
    from glassbox.lineage.rebuild.rebuild import Rebuild

#: How many files of a folder a line names.
_NAMED = 5
#: Several seeds of one recipe would say how far two of its models lie apart anyway.
_SEEDS = "one was trained: there is no spread to set the differences against"


def lines(done: Rebuild) -> list[str]:
    """The verdict on every artifact; where some differ, machines and scores; and the verdict on all."""
    told = [line for one in done.artifacts for line in _artifact(one)]
    if done.verdict != Verdict.IDENTICAL:
        told += ["", *_measured(done)]
    if done.kept:
        told += ["", f"The checkout stays in {done.kept}"]
    return [*told, "", verdict(done)]


def verdict(done: Rebuild) -> str:
    """The verdict on a rebuild in a sentence."""
    return f"{done.stage} of commit {done.commit[:10]}: {done.verdict}: {done.because}"


def as_json(done: Rebuild) -> str:
    """All of it as one JSON document."""
    return json.dumps(
        {
            "verdict": done.verdict,
            "because": done.because,
            "stage": done.stage,
            "revision": done.commit,
            "first": done.first and done.first._asdict(),
            "artifacts": [{**one._asdict(), "same": one.same} for one in done.artifacts],
            "machine": {
                "recorded": done.recorded.machine,
                "rebuilt": done.rebuilt.machine,
                "differs_in": done.machine,
            },
            "scores": [{**one._asdict(), "agrees": one.agrees} for one in done.scores],
            "predictions": [one._asdict() for one in done.distances],
            "seeds": None,
            "kept": done.kept and str(done.kept),
        },
        indent=2,
    )


def _artifact(one: Artifact) -> list[str]:
    if one.same:
        return [f"{'same':<12}{one.path}: md5 {one.recorded}"]
    more = f" and {len(one.files) - _NAMED:,} more" if len(one.files) > _NAMED else ""
    inside = [f"{'':<12}  in it: {', '.join(one.files[:_NAMED])}{more}"] if one.files else []
    return [f"{'different':<12}{one.path}: md5 {one.rebuilt or 'of nothing'}, recorded {one.recorded}", *inside]


def _measured(done: Rebuild) -> list[str]:
    before, after = done.recorded.machine, done.rebuilt.machine
    if before is None or after is None:
        told = [f"{'machine':<12}what kind the {'recorded' if before is None else 'rebuilt'} one was is not known"]
    elif not done.machine:
        told = [f"{'machine':<12}of the same kind"]
    else:
        told = [f"{'machine':<12}{name}: {after.get(name)}, recorded {before.get(name)}" for name in done.machine]
    told += [f"{'score':<12}{_pair(one)}" for one in done.scores]
    if not done.scores:
        told.append(f"{'score':<12}those of both are not at hand")
    told += [
        f"{'predictions':<12}{one.variant}: {one.images:,} images, probabilities differ by {one.mean:.2g} on "
        f"average, {one.largest:.2g} at most"
        for one in done.distances
    ]
    if not done.distances:
        told.append(f"{'predictions':<12}those of both are not at hand")
    return [*told, f"{'seeds':<12}{_SEEDS}"]


def _pair(one: Pair) -> str:
    said = f"{one.variant} {one.name}: {one.rebuilt:.4f}{_interval(one.rebuilt_interval)}, "
    said += f"recorded {one.recorded:.4f}{_interval(one.recorded_interval)}, {one.rebuilt - one.recorded:+.4f}"
    return said if one.agrees else f"{said}, outside"


def _interval(bounds: tuple[float, float] | None) -> str:
    return f" ({bounds[0]:.4f}-{bounds[1]:.4f})" if bounds else ""
