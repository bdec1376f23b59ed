"""Whether each stage behind a model ran as dvc.yaml and params.yaml say, on what other stages wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassbox.lineage.link import Checks, Link
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glassbox.lineage.lock import Tracked
    from glassbox.lineage.outputs import Output
    from glassbox.lineage.revision import Revision

_ABSENT = "nothing"


def links(revision: Revision, stages: Iterable[str], outputs: Iterable[Output]) -> list[Link]:
    """The verdict on each stage, the first first.

    Args:
        revision: Whose dvc.lock, dvc.yaml, params.yaml and code are compared.
        stages: Their names.
        outputs: What they wrote.
    """
    by_path = {output.tracked.path: output for output in outputs}
    found: list[Link] = []
    for stage in stages:
        checks = Checks(f"stage {stage}", f"run `dvc repro {stage}`")
        with checks.refusals():
            _compare(checks, revision, stage, by_path)
        entry = revision.lock.stages[stage]
        values = sum(len(block) for block in entry.params.values())
        found += checks.links(f"as in dvc.yaml; {len(entry.deps)} dependencies, {values} parameters")
    return found


def _compare(checks: Checks, revision: Revision, stage: str, outputs: dict[str, Output]) -> None:
    entry = revision.lock.stages[stage]
    if stage not in revision.stages:
        checks.same("dvc.yaml", "has no such stage", stage)
        return
    declared = revision.stages[stage]
    checks.same("dvc.lock, cmd", entry.cmd, declared.cmd)
    checks.same("dvc.lock, deps", sorted(one.path for one in entry.deps), sorted(declared.deps))
    checks.same("dvc.lock, outs", sorted(one.path for one in entry.outs), sorted(declared.outs))
    for dependency in entry.deps:
        checks.same(
            f"dependency {dependency.path}", _said(dependency), _written(revision, dependency.path, outputs)
        )
    held = {key: value for block in entry.params.values() for key, value in block.items()}
    checks.same("dvc.lock, params", sorted(entry.params), [str(PARAMS)] if declared.params else [])
    for key in sorted(declared.params | held.keys()):
        checks.same(f"{PARAMS}, {key}", _value(revision.params, key), held.get(key, _ABSENT))


def _said(dependency: Tracked) -> str:
    files = "" if dependency.nfiles is None else f" in {dependency.nfiles:,} files"
    return f"md5 {dependency.md5}, {dependency.size:,} bytes{files}"


def _written(revision: Revision, path: str, outputs: dict[str, Output]) -> str:
    """What a dependency is by the stage that wrote it, or, where none did, by the revision itself."""
    if path in outputs:
        return _said(outputs[path].tracked)
    for folder, output in outputs.items():
        if path.startswith(f"{folder}/"):
            name = path.removeprefix(f"{folder}/")
            if output.whole is None or name not in output.members:
                return f"unknown: no whole {folder} with it is at hand"
            size = output.whole.files[name].stat().st_size
            return f"md5 {output.members[name]}, {size:,} bytes"
    return _said(revision.tracked(path))


def _value(params: Any, key: str) -> Any:
    """The value at a dotted key of params.yaml."""
    value = params
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return _ABSENT
        value = value[part]
    return value
