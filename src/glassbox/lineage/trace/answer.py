"""A trace in words and numbers, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glassbox.lineage.trace.sighting import OfGrid, Sighting, Trace, Traced, Unread

#: Characters of a hash, and names of a list, that a table shows. JSON has all.
_SHORT, _NAMED = 10, 3


def lines(trace: Trace) -> list[str]:
    """A table for each model that saw it, source by source."""
    told = [f"{trace.kind} {trace.id} of source {source}: erased ({of})" for source, of in trace.erased.items()]
    told += [line for of in trace.sources for line in _source(trace, of)]
    told += [
        f"erased: tables of {_some(one.models)}; who else was in them nobody can say ({one.ledger})"
        for one in trace.gone
    ]
    return [*told, *([f"MLflow: {trace.without_mlflow}"] if trace.without_mlflow else [])]


def unread(trace: Trace) -> str:
    """What could not be read, and what to do."""
    said = f"some of what is on record could not be read: more models may have seen {trace.kind} {trace.id}"
    return "\n".join([said, *(line for one in trace.unread for line in _unread(one))])


def as_json(trace: Trace) -> str:
    """All of it as one JSON document."""
    document = {
        trace.kind: trace.id,
        "complete": not trace.unread and not trace.gone,
        "models_on_record": trace.recorded,
        "sources": [one.model_dump(mode="json") for one in trace.sources],
        "erased": trace.erased,
        "erased_tables": [one.model_dump(mode="json") for one in trace.gone],
        "unread": [one.model_dump(mode="json") for one in trace.unread],
        "mlflow": trace.without_mlflow or "asked",
    }
    return json.dumps(document, indent=2)


def _source(trace: Trace, of: Traced) -> list[str]:
    seen = f"seen by {len(of.models):,} of {trace.recorded:,} models on record"
    head = f"{trace.kind} {trace.id} of source {of.source}: {_images(of.images)}; {seen}"
    return [head, "", *(line for one in of.models for line in (*_sighting(one), ""))]


def _sighting(one: Sighting) -> list[str]:
    digest = f"sha256 {one.model_sha256[:_SHORT]}" if one.model_sha256 else f"md5 {one.model_md5[:_SHORT]}"
    title = f"{one.experiment}, split {one.split}, {digest}{', a warm start' if one.phase == 'warm_start' else ''}"
    rows = []
    if one.train:
        rows.append(("trained on", f"{_images(one.train)}, {_shown(one)}"))
    if one.validation:
        rows.append(("selected by", f"{_images(one.validation)} of the validation fold"))
    rows += [("selected by", _grid(grid)) for grid in one.grids]
    if one.test:
        rows.append(("tested on", _images(one.test)))
    rows.append(("revisions", _some([commit[:_SHORT] for commit in one.revisions])))
    if one.dvc_experiments:
        rows.append(("experiments", _some(one.dvc_experiments)))
    for run in one.runs:
        rows.append(("MLflow run", " ".join([run.run_id, *run.names])))
    return [title, *(f"  {name:<13}{said}" for name, said in rows)]


def _shown(one: Sighting) -> str:
    if one.shown is None:
        return "how often is not known"
    phases: dict[str, int] = {}
    for counts in one.shown.values():
        for phase, count in counts.items():
            phases[phase] = phases.get(phase, 0) + count
    parts = ", ".join(f"{phase} {count:,}" for phase, count in phases.items())
    return f"shown {_times(sum(phases.values()))} ({parts})"


def _grid(one: OfGrid) -> str:
    said = [f"grid {one.grid}"]
    if one.shown:
        count = _times(sum(one.shown.values()))
        said.append(f"{one.trained} of {one.cells} cells trained on {_images(one.shown)}, shown {count}")
    if one.validation:
        said.append(f"all cells judged by {_images(one.validation)}")
    return "; ".join(said)


def _unread(one: Unread) -> list[str]:
    told = [f"  {one.found}"]
    if one.models:
        told.append(f"    of {_some(one.models)}")
    if one.revisions:
        told.append(f"    in {_some([commit[:_SHORT] for commit in one.revisions])}")
    return [*told, f"    next: {one.action}"]


def _images(images: Iterable[str]) -> str:
    count = len(list(images))
    return f"{count:,} image{'' if count == 1 else 's'}"


def _times(count: int) -> str:
    return f"{count:,} time{'' if count == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
