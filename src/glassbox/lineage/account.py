"""The account of a model: what made it, counted, from the artifacts that an audit verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import catalog, code, document, evaluation, leaks, model, shards, split
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import flat, resolved
from glassbox.artifacts.split import FOLDS, LABEL, labels
from glassbox.code.locked import LOCK, hashes
from glassbox.files import sha256_file
from glassbox.lineage.record import COLUMNS, Archive, File, Fold, Output, Record, Weights, counts, portable
from glassbox.lineage.trace import exposure

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.artifacts.model import Lineage
    from glassbox.lineage import outputs
    from glassbox.lineage.contents import Seen
    from glassbox.lineage.lock import Tracked
    from glassbox.lineage.subject import Subject

#: What an archive's record and a `Record` have in common.
_PROVENANCE = ("kind", "ref", "version", "licence", "bytes", "sha256", "members", "members_sha256")


def record(
    subject: Subject,
    commit: str | None,
    made: Iterable[outputs.Output],
    lineage: Lineage,
    seen: Seen,
    *,
    is_measured: bool,
) -> Record:
    """Everything that is known of a model, from the artifacts of the current folder, a `view`.

    Args:
        subject: The model.
        commit: Which holds its dvc.lock, if one does.
        made: The outputs of all stages behind it.
        lineage: Its own record.
        seen: The images that it saw.
        is_measured: Whether its scores are verified.

    Raises:
        GlassboxError: Some of it is missing or damaged, which a link says.
    """
    key = subject.experiment
    whole = resolved(key)
    tracked = {output.tracked.path: output.tracked for output in made}
    files = {
        name: _file(path, tracked[path.as_posix()])
        for name, path in model.files(key, subject.phase)._asdict().items()
    }
    images = seen.images.assign(shown=0)
    trained = images["fold"] == "train"
    images.loc[trained, "shown"] = _shown(subject, lineage, images[trained])
    provenance = {name: seen.archive[name] for name in _PROVENANCE if name in seen.archive}
    return Record(
        experiment=key,
        title=whole.settings.title,
        revision=commit,
        fingerprint=lineage.fingerprint,
        model=files["model"],
        history=files["history"],
        lineage=files["lineage"],
        params=flat(lineage.params),
        recipe=portable(whole.model_dump(mode="json")),
        data={**lineage.data, "test_sha256": sha256_file(split.path(whole.settings.split, "test"))},
        code={stage: code.read(stage).modules for stage in sorted(lineage.code)},
        packages=lineage.packages,
        packages_sha256=hashes(Path.cwd(), lineage.packages),
        machine=lineage.machine,
        archives=[Archive(source=whole.split.source, **provenance)],
        weights=Weights(
            name=whole.settings.weights, kind=whole.weights.kind, sha256=lineage.data["weights_sha256"]
        ),
        outputs=[
            Output(stage=one.stage, path=at.path, md5=at.md5, bytes=at.size, files=at.nfiles)
            for one in made
            for at in [one.tracked]
        ],
        folds=[_fold(name, images[images["fold"] == name]) for name in FOLDS],
        leaks=leaks.read(whole.settings.split),
        rejected=len(shards.read_rejected(whole.split.dataset)),
        withdrawn=_withdrawn(whole.split.source),
        scores=_scores(key) if is_measured else {},
        images=images[list(COLUMNS)].reset_index(drop=True),
        uv_lock=_file(Path(LOCK), subject.revision.tracked(LOCK)),
    )


def _shown(subject: Subject, lineage: Lineage, rows: pd.DataFrame) -> NDArray[np.int64]:
    """How often the model's training showed each image of its fold; int64 (N,)."""
    history = model.files(subject.experiment, subject.phase).history
    try:
        return exposure.shown(lineage, model.read_history(lineage, subject.phase), rows)
    except (KeyError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ArtifactError(history, f"cannot be replayed: {said}", subject.stage) from None


def _withdrawn(source: str) -> int:
    counts = document.read(catalog.counts_path(source), f"catalog@{source}")
    # Versions that could withdraw nobody counted nobody.
    return int(counts.get("withdrawn", {}).get("images", 0))


def _file(path: Path, tracked: Tracked) -> File:
    return File(path=path.as_posix(), bytes=tracked.size, md5=tracked.md5, sha256=sha256_file(path))


def _fold(name: str, rows: pd.DataFrame) -> Fold:
    return Fold(
        fold=name,
        **counts(rows),
        classes={column.removeprefix(LABEL): int(rows[column].sum()) for column in labels(rows)},
    )


def _scores(experiment: str) -> dict[str, Any]:
    return {name: scores.model_dump() for name, scores in evaluation.read_scores(experiment).items()}
