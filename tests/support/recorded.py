"""A whole project in miniature, every stage of it built in this process and recorded by DVC, git and MLflow."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest import mock

import builders
import dvc.repo
import keras
import pipeline_copy
import yaml
from distributed import LocalCluster

from glassbox import cluster, recipes
from glassbox.archives.download import download
from glassbox.artifacts import recipe
from glassbox.catalogs import build as catalogs
from glassbox.code.digests import write_all
from glassbox.evaluation.evaluate import evaluate
from glassbox.lineage.audit import audit
from glassbox.lineage.link import Verdict
from glassbox.networks import runtime, weights
from glassbox.params.document import checked, load
from glassbox.report.comparison import compare
from glassbox.shards import build as shards
from glassbox.splits import build as splits
from glassbox.tracking.run import Run, complete
from glassbox.training import lineage
from glassbox.training.predict import predict
from glassbox.training.train import train

KEY = "compact"
MODEL = f"models/{KEY}/model.keras"
#: Of the model, all but the comparison.
STAGES = (
    *("code", "download@films", "catalog@films", "resize@films_32", "split@squares", "weights@none"),
    *(f"{stage}@{KEY}" for stage in ("recipe", "warm_start", "fine_tune", "predict", "evaluate")),
)
_NOBODY = ("-c", "user.name=test", "-c", "user.email=test@localhost")
#: Where MLflow notes absolute paths.
_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source",
}


def document():
    """The values of params.yaml, defaults included, as `glassbox use` leaves them."""
    experiment = builders.experiment(
        training={"seed": 4, "batch_size": 8},
        fine_tune=builders.phase(),
        choice={"file": "conf/choice/none.json"},
    )
    values = builders.document(patients=14, size=32, experiments={KEY: experiment})
    values["sources"]["films"]["prevalence"] = {"Mass": 0.4}
    values["datasets"]["films_32"]["shard_images"] = 16
    return checked(values, "params.yaml").model_dump(mode="json")


def build(root):
    """Builds the project in an empty folder, records and commits it."""
    for folder in ("src", "stages", "conf"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(pipeline_copy.ROOT / folder, root / folder, ignore=ignored)
    for file in ("dvc.yaml", "uv.lock", ".dvcignore", ".gitignore"):
        shutil.copy(pipeline_copy.ROOT / file, root / file)
    with inside(root):
        builders.parameters(document())
        git("init", "-q")
        dvc.repo.Repo.init(".").close()
        shutil.copy(pipeline_copy.ROOT / ".dvc/config", ".dvc/config")
        write_all(Path())
        make_data()
        make_model()
        record()
        git("add", "-A")
        git("commit", "-qm", "Build")


def make_data():
    """What the stages up to split, weights and recipe do."""
    params = load()
    for name, source in params.sources.items():
        download(source, name)
        catalogs.build(source, name, params.withdrawn[name])
    with _cluster():
        for name, dataset in params.datasets.items():
            shards.build(dataset, name)
    for name, split in params.splits.items():
        splits.build(split, name)
    for name, initial in params.weights.items():
        weights.make(initial, name)
    for name in params.experiments:
        recipes.write(name)


def make_model():
    """What the stages from the warm start to the comparison do, but for what `record` adds to MLflow's run."""
    # Names that Keras numbers begin anew, as in the process of each stage.
    keras.utils.clear_session()
    settings = recipe.phase(KEY, "warm_start")
    train(settings, "warm_start", lineage.origin(settings, "warm_start"))
    keras.utils.clear_session()
    settings = recipe.phase(KEY, "fine_tune")
    origin = lineage.origin(settings, "fine_tune")
    with Run(origin) as run:
        train(settings, "fine_tune", origin, run.log_epoch)
        run.complete()
    predict(KEY)
    evaluate(KEY)
    compare(load())


def record(*, track=True):
    """Writes dvc.lock of what is on disk and puts that into DVC's cache; then completes MLflow's run."""
    with dvc.repo.Repo(".") as repo:
        repo.commit(force=True)
    if track:
        complete(KEY, evaluated=True)


def judged(said=MODEL, **options):
    """The audit of a model of the project in the current folder, and those of its links that are not verified."""
    done = audit(said, Path.cwd(), **options)
    return done, {link.name: link for link in done.links if link.verdict != Verdict.VERIFIED}


def lock():
    """Stage -> its entry in dvc.lock, but for the comparison, which is no part of a model's proof."""
    stages = yaml.load(Path("dvc.lock").read_bytes(), yaml.CSafeLoader)["stages"]
    return {name: entry for name, entry in stages.items() if name != "compare"}


def write(path, content):
    """Writes a file anew; what DVC linked to its place stays what it was."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    Path(path).write_bytes(content)


def make_model_elsewhere():
    """`make_model` as on another kind of processor: the same recipe gives other bytes."""
    prepare, machine = runtime.prepare, runtime.machine
    with (
        mock.patch.object(runtime, "prepare", lambda seed, *rest: prepare(seed + 1, *rest)),
        mock.patch.object(lineage, "machine", lambda threads: machine(threads) | {"vendor": "Another"}),
    ):
        make_model()


def make_experiment(name):
    """Commits the project as an experiment of DVC's, as `dvc exp run` does, and leaves HEAD where it is."""
    git("add", "-A")
    tree, head = git("write-tree").strip(), git("rev-parse", "HEAD").strip()
    commit = git("commit-tree", tree, "-p", head, "-m", "Try").strip()
    git("update-ref", f"refs/exps/00/11/{name}", commit)
    return commit


@contextlib.contextmanager
def inside(root):
    """Works in a project, as its user does, with the store that lies there."""
    with contextlib.chdir(root), mock.patch.dict(os.environ):
        os.environ.pop("DVC_ROOT", None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        _forget_places()
        yield
    _forget_places()


def _forget_places():
    """MLflow remembers where the files of a run lie by its id alone, which it has in each copy of a project."""
    if module := sys.modules.get("mlflow.tracking._tracking_service.utils"):
        module._artifact_repos_cache.clear()


def copy(source, target):
    """Copies a project, hard links as such; MLflow's run moves along."""
    subprocess.run(["cp", "-a", source, target], check=True)
    with contextlib.closing(sqlite3.connect(target / "mlflow.db")) as store, store:
        for table, column in _PLACES.items():
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(target)))  # noqa: S608
    return target


def git(*words):
    """What git prints in the current folder."""
    return subprocess.run(["git", *_NOBODY, *words], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _cluster():
    """A cluster of one thread in this process, which is there at once."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        mock.patch.dict(os.environ, {cluster.ADDRESS: local.scheduler_address}),
    ):
        yield
