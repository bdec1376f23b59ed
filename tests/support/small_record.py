"""The record of a model that nobody trained: plausible in every field, of as many patients as asked for."""

from __future__ import annotations

import hashlib

import builders
import finished
import pandas as pd

from glassbox.artifacts.experiment import Resolved, flat
from glassbox.artifacts.leaks import Leak
from glassbox.lineage.record import Archive, File, Fold, Output, Record, Weights, portable
from glassbox.params.document import checked

KEY = "compact"
CLASSES = ("No Finding", "Mass")
#: Share of the patients in each fold.
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def sha256(text):
    """A digest that follows from a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def md5(text):
    """An MD5 that follows from a text."""
    return sha256(text)[:32]


def file(path, size=1000):
    """A file that is nowhere."""
    return File(path=path, bytes=size, md5=md5(path), sha256=sha256(path))


def images(patients=20, films=3):
    """The rows of `Record.images`: of each patient one to `films` images, those of the training drawn twice.

    Those of the first patient were never shown, the others of the training fold seven times each.
    """
    rows = []
    for number in range(patients):
        share, fold = number / patients, "test"
        if share < SHARES["train"] + SHARES["validation"]:
            fold = "train" if share < SHARES["train"] else "validation"
        for film in range(1 + number % films):
            image = f"{number + 1:08}_{film:03}.png"
            rows.append(
                {
                    "image_id": image,
                    "patient_id": f"{number + 1:05}",
                    "fold": fold,
                    "draws": 2 if fold == "train" else 1,
                    "shown": 7 if fold == "train" and number else 0,
                    "source_sha256": sha256(f"source {image}"),
                    "pixels_sha256": sha256(f"pixels {image}"),
                    "shard": f"part-{number // 256:05}.h5",
                    "row": number % 256,
                }
            )
    return pd.DataFrame(rows)


def folds(rows):
    """The counts of the folds of such rows; of each fold's images half, rounded up, are of the first class."""
    counted = []
    for fold in SHARES:
        there = rows[rows["fold"] == fold]
        halves = (len(there) - len(there) // 2, len(there) // 2)
        counted.append(
            Fold(
                fold=fold,
                patients=there["patient_id"].nunique(),
                images=len(there),
                draws=int(there["draws"].sum()),
                shown=int(there["shown"].sum()),
                shown_images=int((there["shown"] > 0).sum()),
                shown_patients=there.loc[there["shown"] > 0, "patient_id"].nunique(),
                classes=dict(zip(CLASSES, halves, strict=True)),
            )
        )
    return counted


def recipe():
    """An experiment as it runs, on films from Kaggle, with one departure."""
    settings = builders.experiment(weights="begun", departures={"epochs": "Two epochs in place of thirty."})
    source = {"kind": "kaggle", "layout": "nih", "ref": "somebody/films", "version": 3}
    begun = {"kind": "file", "backbone": "compact", "path": "archives/begun.h5", "sha256": sha256("begun")}
    values = builders.document(experiments={KEY: settings}, weights={"begun": begun}, sources={"films": source})
    whole = checked(values, "params.yaml")
    return Resolved(
        key=KEY,
        settings=whole.experiments[KEY],
        split=whole.splits["squares"],
        dataset=whole.datasets["films_32"],
        source=whole.sources["films"],
        weights=whole.weights["begun"],
    )


def scores():
    """What was measured, as scores.json has it."""
    of_class = {
        "precision": 0.75,
        "recall": 0.625,
        "f1": 0.681818,
        "support": 8,
        "prevalence": 0.5,
        "roc_auc": None,
    }
    whole = {"roc_auc": 0.8125, "roc_auc_low": 0.7031, "roc_auc_high": 0.9017, "loss": 0.612345, "images": 16}
    return {"test_clean": {**whole, "classes": dict.fromkeys(CLASSES, of_class)}}


def record(patients=20, **changes):
    """A record.

    Args:
        patients: How many the model saw or was tested on.
        changes: Other values of its fields.
    """
    rows, resolved = images(patients), recipe().model_dump(mode="json")
    sizes = {"model.keras": 123_457, "history.csv": 401, "lineage.json": 2_003}
    made = [file(f"models/{KEY}/{name}", size) for name, size in sizes.items()]
    seen = ("train", "validation", "statistics", "weights", "warm_start")
    outputs = [
        Output(stage="download@films", path="data/archives/films.zip", md5=md5("zip"), bytes=70_001),
        Output(stage="catalog@films", path="data/catalogs/films.parquet", md5=md5("catalog"), bytes=5_003),
        Output(
            stage="resize@films_32", path="data/shards/films_32", md5=f"{md5('shards')}.dir", bytes=60_013, files=4
        ),
        Output(stage="split@squares", path="data/splits/squares", md5=f"{md5('split')}.dir", bytes=7_001, files=4),
        *(Output(stage=f"fine_tune@{KEY}", path=of.path, md5=of.md5, bytes=of.bytes) for of in made),
        Output(
            stage=f"predict@{KEY}",
            path=f"predictions/{KEY}",
            md5=f"{md5('predictions')}.dir",
            bytes=9_001,
            files=2,
        ),
    ]
    values = {
        "experiment": KEY,
        "title": "A compact network",
        "revision": md5("commit") + "01234567",
        "fingerprint": sha256("fingerprint"),
        **dict(zip(("model", "history", "lineage"), made, strict=True)),
        "params": flat({"split": "squares", "training": resolved["settings"]["training"]}),
        "recipe": portable(resolved),
        "data": {f"{name}_sha256": sha256(name) for name in seen},
        "code": {
            "warm_start": {"src/glassbox/stage.py": sha256("stage")},
            "fine_tune": {"src/glassbox/stage.py": sha256("stage"), "stages/fine_tune.py": sha256("script")},
        },
        "packages": finished.PACKAGES,
        "packages_sha256": {
            name: [sha256(f"{name} wheel"), sha256(f"{name} sdist")] for name in finished.PACKAGES
        },
        "machine": finished.MACHINE,
        "archives": [
            Archive(
                source="films",
                kind="kaggle",
                ref="somebody/films",
                version=3,
                licence="CC0-1.0",
                bytes=70_001,
                sha256=sha256("films.zip"),
                members=313,
                members_sha256=sha256("members"),
            )
        ],
        "weights": Weights(name="begun", kind="file", sha256=sha256("begun")),
        "outputs": outputs,
        "folds": folds(rows),
        "leaks": [
            Leak(folds="train-test", what="patients", shared=0),
            Leak(folds="train-test", what="identical_files", shared=17),
        ],
        "rejected": 11,
        "withdrawn": 29,
        "scores": scores(),
        "images": rows,
        "uv_lock": file("uv.lock", 660_001),
    }
    return Record(**values | changes)
