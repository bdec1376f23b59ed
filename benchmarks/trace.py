"""What a trace costs where 200 models are on record: 20 splits of a cohort of NIH's size, 10 trainings on each.

    uv run python benchmarks/trace.py [--quick] [--rounds N] [--folder FOLDER]

Writes a repository with 200 commits, each of which records one model: a training on one of 20 splits of 112,120
images (patients fall to folds by 7, 1 and 2 tenths, a class is shown twice as often as the other), with a seed
of its own, of 1 and 10 epochs in batches of 32. Nothing is trained: folds, records and histories lie in DVC's
cache by the writers that stages use, and a store of MLflow has a run for each model. Then it runs `glassbox
trace --patient` for a patient of several images, each time in a process of its own, from start to exit: without
an index, when every fold is read and hashed and every pass of every training is drawn again, and with one.

Prints a table with medians, the range over the rounds and the processor's own seconds and, last, one line of JSON:
`trace_s` is the trace with an index. `--quick` takes one round.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import yaml
from process import Run, run

from glassbox.artifacts import catalog, history, model, split
from glassbox.artifacts.split import Statistics
from glassbox.tracking.model import SHA256_TAG

IMAGES, PATIENTS, SPLITS, MODELS = 112_120, 30_805, 20, 200
#: Epochs of the warm start and of the fine-tuning.
EPOCHS = 1, 10
#: Seconds that a trace with an index may take.
BOUND = 2.0
#: Patient of `IMAGES / PATIENTS` images and more.
PATIENT = "00000042"


def main() -> None:
    """Writes the repository, measures, and prints what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="one round")
    arguments.add_argument("--rounds", type=int, default=5, help="how many rounds (default: 5)")
    arguments.add_argument(
        "--folder", type=Path, help="where to work, and to leave everything (default: a temporary one)"
    )
    asked = arguments.parse_args()
    with contextlib.nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), 1 if asked.quick else asked.rounds)
    print(json.dumps(figures))


def measured(folder: Path, count: int) -> dict[str, float]:
    """Writes the repository, unless it is there, measures so many rounds, and prints a table; the figures."""
    project = folder / "project"
    if not project.exists():
        began = time.perf_counter()
        _write(project)
        print(f"{MODELS} models put on record: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    found = json.loads(_trace(project, "--json")[1])
    rounds: dict[str, list[Run]] = {"without an index": [], "with one": []}
    for _ in range(count):
        shutil.rmtree(project / "work", ignore_errors=True)
        for runs in rounds.values():
            runs.append(_trace(project)[0])
    _print(rounds, found)
    return _figures(rounds)


# --- the repository ----------------------------------------------------------------------------------------


def _write(project: Path) -> None:
    """A repository of git and DVC with 200 models on record."""
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (project / "dvc.yaml").write_text("stages: {}\n")
    _git(project, "init", "-q")
    with contextlib.chdir(project):
        rows = _cohort()
        catalog.write("films", rows, catalog.Vocabulary(("Mass",), "No Finding"))
        of_catalog = {"outs": [_cached(catalog.path("films"))]}
        hashes = []
        for number in range(SPLITS):
            key = f"split_{number}"
            split.write(key, _folds(rows, number), Statistics(IMAGES, 120.0, 50.0))
            folds = {fold: _cached(split.path(key, fold)) for fold in split.FOLDS}
            for training in range(number, MODELS, SPLITS):
                stages = {"catalog@films": of_catalog, f"split@{key}": {"deps": of_catalog["outs"]}}
                trained, sha256 = _trained(f"model_{training}", training, folds)
                hashes.append(sha256)
                lock = {stage: {"cmd": "python", **entry} for stage, entry in (stages | trained).items()}
                Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}, sort_keys=False))
                _git(project, "add", "dvc.lock")
                _git(project, "commit", "-qm", f"Train {training}")
        shutil.rmtree("data")
        shutil.rmtree("models")
        _log(hashes)


def _cohort() -> pd.DataFrame:
    """The catalog: patients have as many images as fall to them."""
    patients = np.sort(np.random.default_rng(1).integers(0, PATIENTS, IMAGES))
    numbers = np.arange(IMAGES) - np.searchsorted(patients, patients)
    names = [f"{patient:08d}_{number:03d}.png" for patient, number in zip(patients, numbers, strict=True)]
    return pd.DataFrame(
        {
            "image_id": names,
            "patient_id": [f"{patient:08d}" for patient in patients],
            "member": names,
            "findings": [["Mass"] if number % 3 == 0 else ["No Finding"] for number in range(IMAGES)],
            "age": 50.0,
            "sex": "F",
            "view": "PA",
            "official_split": None,
            "boxes": [[]] * IMAGES,
        }
    )


def _folds(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A split by patients; one class is shown twice as often as the other."""
    fold = np.random.default_rng(seed).choice(split.FOLDS, PATIENTS, p=(0.7, 0.1, 0.2))
    positive = np.arange(IMAGES) % 3 == 0
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in rows["image_id"]]
    table = rows[["image_id", "patient_id"]].assign(fold=fold[rows["patient_id"].astype(int)])
    return table.assign(
        **{"label_No Finding": (~positive).astype(np.uint8), "label_Mass": positive.astype(np.uint8)},
        draws=np.where((table["fold"] == "train") & positive, 2, 1).astype(np.int32),
        source_sha256=digests,
        pixels_sha256=digests,
    )


def _trained(key: str, seed: int, folds: dict[str, dict[str, object]]) -> tuple[dict[str, object], str]:
    """What dvc.lock says of a training, whose record and history are cached; and the SHA-256 of its model."""
    epochs = [
        {"epoch": number, "phase": "warm_start" if number < EPOCHS[0] else "fine_tune"}
        for number in range(sum(EPOCHS))
    ]
    params = {
        "training": {"seed": seed, "batch_size": 32, "images": None},
        "warm_start": {"steps_per_epoch": None},
        "fine_tune": {"steps_per_epoch": None},
    }
    at, empty = model.files(key), {"data": {}, "code": {}, "packages": {}, "machine": {}}
    at.model.parent.mkdir(parents=True)
    at.model.write_text(key)
    history.write(epochs, at.history)
    lineage = model.write_lineage(
        key, "fine_tune", model.made_from({"experiment": key, "params": params, **empty})
    )
    before = {
        "path": model.files(key, "warm_start").model.as_posix(),
        "hash": "md5",
        "md5": f"{seed:032x}",
        "size": 1,
    }
    outs = [_cached(path) for path in at]
    trained = {"deps": [folds["train"], folds["validation"], before], "outs": outs}
    return {f"fine_tune@{key}": trained, f"predict@{key}": {"deps": [folds["test"], *outs]}}, lineage.model_sha256


def _cached(path: Path) -> dict[str, object]:
    """What dvc.lock says of a file, which is put into DVC's cache."""
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    place = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    return {"path": path.as_posix(), "hash": "md5", "md5": md5, "size": path.stat().st_size}


def _log(hashes: list[str]) -> None:
    """Writes a store with a run for each model, and one that is registered."""
    from glassbox.tracking.store import open_store

    store = open_store()
    runs = [store.client.create_run(store.experiment_id, tags={SHA256_TAG: sha256}) for sha256 in hashes]
    store.client.create_registered_model("chest")
    store.client.create_model_version("chest", "runs:/x/model", runs[0].info.run_id)
    store.client.set_registered_model_alias("chest", "champion", "1")


def _git(project: Path, *words: str) -> None:
    identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
    subprocess.run(["git", *identity, *words], cwd=project, check=True)


# --- the measurements --------------------------------------------------------------------------------------


def _trace(project: Path, *words: str) -> tuple[Run, bytes]:
    """One `glassbox trace`, and what it printed."""
    command = [str(Path(sys.executable).with_name("glassbox")), "trace", "--patient", PATIENT, *words]
    environment = {name: at for name, at in os.environ.items() if name not in ("DVC_ROOT", "MLFLOW_TRACKING_URI")}
    return run(command, project, environment)


def _print(rounds: dict[str, list[Run]], found: dict[str, list[dict[str, list[dict[str, object]]]]]) -> None:
    """The table."""
    models = found["sources"][0]["models"]
    counts = {fold: sum(bool(one[fold]) for one in models) for fold in split.FOLDS}
    said = ", ".join(f"{count} in {fold}" for fold, count in counts.items())
    print(f"patient {PATIENT}: {len(found['sources'][0]['images'])} images; of {MODELS} models {said}")
    print(f"{'':<18} {'s':>7} {'range':>15} {'CPU s':>7} {'peak MB':>8}")
    for name, runs in rounds.items():
        seconds = [run.seconds for run in runs]
        print(
            f"{name:<18} {median(seconds):>7.2f} {min(seconds):>7.2f}-{max(seconds):<7.2f} "
            f"{median(run.cpu for run in runs):>7.2f} {max(run.mb for run in runs):>8.0f}"
        )


def _figures(rounds: dict[str, list[Run]]) -> dict[str, float]:
    """Medians, the range of what is bounded, and what was traced."""
    seconds = [run.seconds for run in rounds["with one"]]
    return {
        "trace_s": round(median(seconds), 2),
        "trace_s_low": round(min(seconds), 2),
        "trace_s_high": round(max(seconds), 2),
        "trace_s_bound": BOUND,
        "cold_s": round(median(run.seconds for run in rounds["without an index"]), 2),
        "models": MODELS,
        "splits": SPLITS,
        "images": IMAGES,
        "rounds": len(seconds),
    }


if __name__ == "__main__":
    main()
