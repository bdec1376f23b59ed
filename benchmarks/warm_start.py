"""What pretrained weights and a warm start are worth: ROC AUC on the test fold with them, and without.

    uv run python benchmarks/warm_start.py [--quick] [--seeds N]

Trains `infiltration_vgg16` of the demo on the demo's generated films, once as the demo does (weights of a short
pretraining on films of other patients, one epoch with the backbone frozen, then fine-tuning) and once from random
weights without a warm start, for several seeds and for one and the demo's number of fine-tuning epochs. Data are
made and models trained by the functions of the stages, in a temporary folder; the test fold is the clean one.

Prints a table with medians and, last, one line of JSON. `--quick` takes a quarter of the patients and at most two
seeds: it shows that all runs, no more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from sklearn.metrics import roc_auc_score

from glassbox import profiles, recipes
from glassbox.archives.download import download
from glassbox.artifacts import code, predictions, recipe
from glassbox.catalogs.build import build as build_catalog
from glassbox.code.digests import digests
from glassbox.params.document import load
from glassbox.params.experiments import PHASES
from glassbox.shards.build import build as build_shards
from glassbox.splits.build import build as build_split

if TYPE_CHECKING:
    from glassbox.params.document import Params

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = "infiltration_vgg16"
QUICK = ["sources.phantom.patients=110", "weights.phantoms.films.patients=100"]
#: What an experiment without the warm start names in the place of its weights.
RANDOM = "+weights.none.kind=none"


class Scores(NamedTuple):
    """ROC AUCs of one seed after some fine-tuning epochs."""

    seed: int
    epochs: int
    warm: float
    none: float

    @property
    def difference(self) -> float:
        """What the weights and the warm start gained."""
        return self.warm - self.none


def main() -> None:
    """Makes the data once, trains each variant, and prints what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="fewer films and two seeds")
    arguments.add_argument("--seeds", type=int, default=5, help="how many seeds (default: 5)")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(ROOT / "conf", "conf")
        with contextlib.redirect_stdout(sys.stderr):
            overrides = [RANDOM, *(QUICK if asked.quick else [])]
            demo = _data(overrides)
            first = demo.experiments[EXPERIMENT].training.seed
            count = min(asked.seeds, 2) if asked.quick else asked.seeds
            scores = _scores(demo, overrides, range(first, first + count))
    _print(scores)


def _data(overrides: list[str]) -> Params:
    """The demo's parameters, with the archive, the catalog, the shards, the split and the weights made."""
    from glassbox.networks.weights import make

    for name, reached in digests(ROOT).items():
        code.write(name, reached)
    profiles.use("demo", overrides)
    demo = load()
    experiment = demo.experiments[EXPERIMENT]
    split = demo.splits[experiment.split]
    download(demo.sources[split.source], split.source)
    build_catalog(demo.sources[split.source], split.source)
    build_shards(demo.datasets[split.dataset], split.dataset)
    build_split(split, experiment.split)
    for weights in (experiment.weights, "none"):
        make(demo.weights[weights], weights)
    return demo


def _scores(demo: Params, overrides: list[str], seeds: range) -> list[Scores]:
    """Both variants after one epoch and after the demo's number, for each seed."""
    scores = []
    for seed in seeds:
        for epochs in sorted({1, demo.experiments[EXPERIMENT].fine_tune.epochs}):
            warm = {"training.seed": seed, "fine_tune.epochs": epochs}
            none = warm | {"weights": "none", "warm_start.epochs": 0}
            scores.append(Scores(seed, epochs, _roc_auc(overrides, warm), _roc_auc(overrides, none)))
    return scores


def _roc_auc(overrides: list[str], changes: dict[str, str | int]) -> float:
    """Trains the experiment with these changes; its ROC AUC on the clean test fold."""
    # Dask's workers import this file anew: they need no Keras.
    import keras

    from glassbox.training import lineage
    from glassbox.training.predict import predict
    from glassbox.training.train import train

    own = [f"experiments.{EXPERIMENT}.{key}={value}" for key, value in changes.items()]
    profiles.use("demo", [*overrides, *own])
    recipes.write(EXPERIMENT)
    keras.utils.clear_session()
    for phase in PHASES:
        settings = recipe.phase(EXPERIMENT, phase)
        trained = train(settings, phase, lineage.origin(settings, phase))
    predict(EXPERIMENT)
    test = predictions.read(EXPERIMENT, "test_clean", trained.model_sha256)
    return float(roc_auc_score(test.labels[:, -1], test.probabilities[:, -1]))


def _print(scores: list[Scores]) -> None:
    """The table, then the line of JSON: medians after the full number of epochs, and after one."""
    print(f"{'epochs':>6} {'seed':>7} {'AUC warm':>9} {'AUC none':>9} {'difference':>11}")
    summary: dict[str, float | int] = {}
    for epochs in sorted({score.epochs for score in scores}, reverse=True):
        rows = [score for score in scores if score.epochs == epochs]
        for row in rows:
            print(f"{epochs:>6} {row.seed:>7} {row.warm:>9.3f} {row.none:>9.3f} {row.difference:>+11.3f}")
        middle = {
            "auc_warm": median(row.warm for row in rows),
            "auc_none": median(row.none for row in rows),
            "difference": median(row.difference for row in rows),
        }
        print(
            f"{epochs:>6} {'median':>7} {middle['auc_warm']:>9.3f} {middle['auc_none']:>9.3f} "
            f"{middle['difference']:>+11.3f}"
        )
        suffix = "_after_one_epoch" if summary else ""
        summary |= {f"{name}{suffix}": round(value, 4) for name, value in middle.items()}
    summary |= {"epochs": max(score.epochs for score in scores), "seeds": len({score.seed for score in scores})}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
