"""A repository in which models are on record: dvc.lock and DVC's cache as DVC would leave them.

An image is named by its patient and a number: `p1_0` is of patient `p1`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import finished
import numpy as np
import pandas as pd
import yaml

from glassbox.artifacts import catalog, cells, history, model, split
from glassbox.artifacts.split import Statistics


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


class Record:
    """A project whose stages are said to have run, as far as a dvc.lock tells."""

    def __init__(self, root):
        self.root = Path(root)
        self.stages = {}
        (self.root / ".dvc").mkdir(parents=True)
        (self.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
        (self.root / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
        (self.root / ".gitignore").write_text("/data/\n/models/\n/work/\n/mlflow.db\n/mlartifacts/\n")
        (self.root / "dvc.yaml").write_text("stages: {}\n")
        self.git("init", "-q", "-b", "main")

    def git(self, *words):
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message="Build"):
        """Writes dvc.lock and commits it; the commit."""
        self.write_lock()
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def write_lock(self):
        text = yaml.safe_dump({"schema": "2.0", "stages": self.stages}, sort_keys=False)
        (self.root / "dvc.lock").write_text(text)

    def experiment(self, name, commit):
        """Gives a commit the name of an experiment of DVC's."""
        base = self.git("rev-parse", "HEAD")
        self.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)

    def cached(self, digest):
        """Where DVC's cache has a file."""
        return self.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]

    def ran(self, stage, deps=(), outs=(), params=None):
        """Says in dvc.lock that a stage read and wrote files that lie there, and caches what it wrote."""
        entry = {"cmd": f"python stages/{stage}"}
        for name, paths in (("deps", deps), ("outs", outs)):
            entry[name] = [self._tracked(path) for path in paths]
        if params:
            entry["params"] = {"params.yaml": params}
        for out in entry["outs"]:
            place = self.cached(out["md5"])
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.root / out["path"], place)
        self.stages[stage] = entry

    def _tracked(self, path):
        path = Path(path)
        at = self.root / path
        return {"path": path.as_posix(), "hash": "md5", "md5": md5(at), "size": at.stat().st_size}

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        return path

    # --- stages --------------------------------------------------------------------------------------------

    def catalog(self, source, *images):
        rows = pd.DataFrame({"image_id": images, "patient_id": [image.partition("_")[0] for image in images]})
        rows["member"] = rows["image_id"]
        rows["findings"] = [["Mass"]] * len(images)
        rows["age"], rows["sex"], rows["view"], rows["official_split"] = 50.0, "F", "PA", None
        rows["boxes"] = [[] for _ in images]
        with chdir(self.root):
            catalog.write(source, rows, catalog.Vocabulary(("Mass",), "No Finding"))
        self.ran(f"catalog@{source}", outs=[catalog.path(source)])

    def split(self, name, source, train, validation=(), test=()):
        """Writes a split and says that it is of the source; `train` is image -> draws, the others are images."""
        folds = {"train": train, "validation": dict.fromkeys(validation, 1), "test": dict.fromkeys(test, 1)}
        rows = [(image, fold, draws) for fold, images in folds.items() for image, draws in images.items()]
        table = pd.DataFrame(rows, columns=["image_id", "fold", "draws"]).astype({"draws": np.int32})
        table["patient_id"] = table["image_id"].str.partition("_")[0]
        for column in ("label_No Finding", "label_Mass"):
            table[column] = np.uint8(1)
        table["source_sha256"] = table["pixels_sha256"] = "0" * 64
        with chdir(self.root):
            split.write(name, table, Statistics(len(train), 100.0, 20.0))
        # DVC caches the files of a folder each by itself.
        folder = [split.path(name, fold) for fold in split.FOLDS]
        self.ran(f"split@{name}", deps=[catalog.path(source)], outs=folder)

    def train(self, experiment, of, *, epochs=(1, 3), weights="", choice=None, steps=(None, None), **training):
        """Writes a warm start and a fine-tuning of it on a split.

        Args:
            experiment: Its key.
            of: The split's.
            epochs: How many were trained of each phase.
            weights: Whatever is to make the models others.
            choice: The grid whose choice the recipe follows.
            steps: `steps_per_epoch` of each phase.
            training: Of its parameters.
        """
        followed = cells.choice_path(choice) if choice else self.write("conf/choice/none.json", "{}")
        recipe = self.write(f"data/recipes/{experiment}/fine_tune.json", f"{experiment}\n")
        self.ran(f"recipe@{experiment}", deps=[followed], outs=[recipe])
        settings = {"seed": 1, "batch_size": 2, "images": None} | training
        params, folds = {"training": settings}, [split.path(of, fold) for fold in ("train", "validation")]
        before = []
        for phase, count, trained in zip(("warm_start", "fine_tune"), steps, epochs, strict=True):
            params[phase] = {"epochs": 9, "steps_per_epoch": count}
            at, rows = model.files(experiment, phase), finished.epochs(epochs[0], trained)
            self.write(at.model, f"{experiment} {phase} {weights}\n")
            kept = ("data", "code", "packages", "machine")
            made = model.made_from({"experiment": experiment, "params": dict(params), **{key: {} for key in kept}})
            with chdir(self.root):
                history.write(rows[: epochs[0]] if phase == "warm_start" else rows, at.history)
                model.write_lineage(experiment, phase, made)
            self.ran(f"{phase}@{experiment}", deps=[recipe, *folds, *before], outs=at)
            before = list(at)

    def predict(self, experiment, of):
        """Says that a model was tested on a split."""
        made = model.files(experiment)
        deps = [split.path(of, "test"), made.model, made.lineage]
        self.ran(f"predict@{experiment}", deps, [self.write(f"predictions/{experiment}/test.txt", "")])

    def grid(self, name, experiment, of, *, images, layers, epochs, steps):
        """Says that a grid was trained on a split, and that some of its cells were chosen."""
        values = {"images": images, "all_but_last": layers, "epochs": epochs, "steps_per_epoch": steps}
        params = {f"grids.{name}.experiment": experiment} | {
            f"grids.{name}.{key}": at for key, at in values.items()
        }
        params |= {f"experiments.{experiment}.training.{key}": at for key, at in (("seed", 1), ("batch_size", 2))}
        folds = [split.path(of, fold) for fold in ("train", "validation")]
        trained = self.write(cells.grid_path(name), json.dumps(values))
        self.ran(f"grid@{name}", folds, [trained], params)
        self.ran(f"choose@{name}", [trained], [self.write(cells.choice_path(name), f"the best of {values}\n")])
