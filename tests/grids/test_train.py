"""A grid on the films of `project`: two classes, some 50 training images, a compact network."""

import contextlib
import random
import shutil
import threading
import time
from types import SimpleNamespace

import builders
import keras
import numpy as np
import psutil
import pytest
from distributed import LocalCluster

from glassbox import cluster
from glassbox.artifacts import cells, split
from glassbox.grids import cell as one_cell
from glassbox.grids import train as grid
from glassbox.networks import weights
from glassbox.networks.errors import ModelError
from glassbox.params.experiments import Training
from glassbox.params.grids import Grid
from glassbox.params.read import block
from glassbox.paths import WORK
from glassbox.recipes import mounted, phase
from glassbox.training import checkpoint, phases
from glassbox.training.data import TrainingData

PATH = cells.grid_path("squares")
FOLDER = WORK / "grid" / "squares"
CELLS = [(16, 0), (16, 3), (32, 0), (32, 3)]


@pytest.fixture(scope="module", autouse=True)
def worker():
    """A cluster of one worker, a thread of this process, in which TensorFlow is there."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(cluster.ADDRESS, local.scheduler_address)
        yield local


@pytest.fixture(autouse=True)
def alone(worker, monkeypatch):
    """Lets no cell go on after its test: the worker's thread shares the working folder with the next one."""
    yield
    (busy,) = worker.workers.values()
    while busy.state.executing or busy.state.ready or busy.state.constrained:
        time.sleep(0.02)


@pytest.fixture(scope="module")
def ready(data, compact_weights, tmp_path_factory):
    """A project with a grid of two times two cells, and the weights that it starts from."""
    folder = tmp_path_factory.mktemp("grid")
    shutil.copytree(data / "data", folder / "data")
    path, sha256 = compact_weights
    experiment = builders.experiment(
        weights="kept",
        model={"backbone": "compact", "normalise": "standardise", "dropout": 0.4},
        fine_tune=builders.phase(epochs=7, freeze="everything", optimizer={"learning_rate": 0.01})
        | {"early_stopping": {"patience": 1}},
    )
    named = {"experiment": "x", "split": "squares", "weights": "kept"}
    short = {"images": [16, 32], "all_but_last": [3, 0], "choices": 1, "epochs": 2, "steps_per_epoch": 2}
    values = builders.document(
        weights={"kept": {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}},
        experiments={"x": experiment},
        grids={"squares": named | short},
    )
    with contextlib.chdir(folder):
        weights.make(builders.parameters(values).weights["kept"], "kept")
    return folder


@pytest.fixture(scope="module")
def trained(ready, tmp_path_factory):
    """The project once its grid was trained, and what each cell was trained with, in the order they ran."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(ready, folder)
    seen, run = [], phases.run

    def spying(model, phase, data, **rest):
        before = [layer.get_weights() for layer in model.layers]
        rows = run(model, phase, data, **rest)
        moved = {
            layer.name
            for layer, old in zip(model.layers, before, strict=True)
            if any(not np.array_equal(a, b) for a, b in zip(old, layer.get_weights(), strict=True))
        }
        seen.append(SimpleNamespace(data=data, phase=phase, before=before, moved=moved, rows=rows))
        return rows

    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_cell.phases, "run", spying)
        train()
    return folder, seen


@pytest.fixture
def project(ready, tmp_path, monkeypatch):
    """A copy of the project, in which the test runs."""
    shutil.copytree(ready, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


@pytest.fixture
def again(trained, tmp_path, monkeypatch):
    """A copy of the project whose grid is trained, in which the test runs."""
    shutil.copytree(trained[0], tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")


def train(recipe=None, **changes):
    """Trains the grid, or what it is with some changes, as its stage does."""
    asked = block("grids", "squares", Grid).model_copy(update=changes)
    grid.train(recipe or phase(mounted("x"), "fine_tune"), asked, "squares")


def kept():
    """The cells that were put aside: path -> when."""
    return {path.name: path.stat().st_mtime_ns for path in FOLDER.iterdir()}


# --- what a cell is ----------------------------------------------------------------------------------------


def test_a_grid_has_its_cells_with_their_accuracy_beside_the_majority_classifiers(trained, monkeypatch):
    folder, seen = trained
    monkeypatch.chdir(folder)
    found = cells.read(PATH, "grid@squares")
    assert [(cell.images, cell.all_but_last) for cell in found] == CELLS
    share = split.read("squares", "validation")["label_Mass"].mean()
    for cell, one in zip(found, seen, strict=True):
        assert cell.val_accuracy == one.rows[-1]["val_accuracy"]
        assert cell.majority_accuracy == pytest.approx(max(share, 1 - share), abs=1e-6)


def test_a_cell_is_trained_as_the_grid_and_the_fine_tuning_of_its_experiment_say(trained, monkeypatch):
    folder, seen = trained
    monkeypatch.chdir(folder)
    settings = phase(mounted("x"), "fine_tune")
    whole = TrainingData.of(settings)
    assert len(whole.train) > 32
    for (images, _), one in zip(CELLS, seen, strict=True):
        assert (one.phase.epochs, one.phase.steps_per_epoch, one.phase.early_stopping) == (2, 2, None)
        assert one.phase.optimizer == settings.phase.optimizer
        assert one.data.augmentation == settings.augmentation
        assert (len(one.data.train), len(one.data.validation)) == (images, len(whole.validation))


def test_every_cell_begins_with_the_same_weights_and_trains_its_last_layers_alone(trained):
    first = trained[1][0]
    for (_, layers), one in zip(CELLS, trained[1], strict=True):
        for mine, other in zip(one.before, first.before, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))
        assert one.moved == {"head_output", *["block6_bn", "block6_conv", "block5_bn"][:layers]}


def test_no_other_thread_changes_the_weights_and_the_dropout_that_a_cell_begins_with(project, monkeypatch):
    recipe, begun, stop = phase(mounted("x"), "fine_tune"), [], threading.Event()

    def run(model, *_, **__):
        seeds = [layer.seed_generator.state.numpy() for layer in model.layers if hasattr(layer, "seed_generator")]
        begun.append([*model.get_weights(), *seeds])
        return [{"val_accuracy": 0.5}]

    def draw():
        while not stop.is_set():
            random.random()  # noqa: S311 (no secret)

    monkeypatch.setattr(one_cell.phases, "run", run)
    one_cell.facts(recipe)
    one_cell.train(recipe, WORK / "x.npz")
    other = threading.Thread(target=draw)
    other.start()
    one_cell.train(recipe, WORK / "x.npz")
    stop.set()
    other.join()
    assert all(np.array_equal(a, b) for a, b in zip(*begun, strict=True))


# --- what is put aside -------------------------------------------------------------------------------------


def test_a_stage_killed_after_a_cell_and_within_the_next_goes_on_with_the_epoch_it_was_at(
    trained, project, monkeypatch
):
    save, put_aside = checkpoint.Checkpoint.save, []

    def dying_save(self, *args):
        save(self, *args)
        put_aside.append(self.path.name)
        if len(put_aside) == 3:
            raise InterruptedError

    monkeypatch.setattr(checkpoint.Checkpoint, "save", dying_save)
    with pytest.raises(InterruptedError):
        train(images=(32,))
    assert not PATH.exists()
    keras.utils.set_random_seed(np.random.default_rng().integers(1 << 30).item())
    train(images=(32,))
    assert len(put_aside) == 4, "no epoch is trained twice"
    assert len(set(put_aside)) == 2
    assert cells.read(PATH, "grid@squares") == cells.read(trained[0] / PATH, "grid@squares")[2:]
    assert {path.suffix for path in FOLDER.iterdir()} == {".json"}


@pytest.fixture
def quick(monkeypatch):
    """Trainings that last no time; which cells they are of, in the order they ran."""
    ran = []

    def run(model, phase, data, *, checkpoint, **_):
        checkpoint.path.touch()
        ran.append((len(data.train), phase.freeze.all_but_last))
        return [{"val_accuracy": 0.5}]

    monkeypatch.setattr(one_cell.phases, "run", run)
    return ran


def test_a_grid_that_grows_trains_the_new_cells_alone_and_one_that_shrinks_forgets_the_others(again, quick, capfd):
    before, table = kept(), PATH.read_bytes()
    train(images=(16, 32, 24), choices=2)
    assert quick == [(24, 0), (24, 3)]
    assert before.items() < kept().items()
    assert [(cell.images, cell.all_but_last) for cell in cells.read(PATH, "grid@squares")] == sorted(
        [*CELLS, *quick]
    )
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("squares: ")]
    assert said[0] == "squares: 4 of 6 cells are there"
    assert said[2] == "squares: 6 of 6 cells; images 24, all_but_last 3: validation accuracy 0.5"
    train()
    assert len(quick) == 2
    assert kept() == before
    assert PATH.read_bytes() == table


def test_cells_made_otherwise_are_not_taken_up(again, quick):
    before = kept()
    builders.write_code("cell", "grid")
    train(steps_per_epoch=3)
    assert quick == CELLS
    assert not before.keys() & kept().keys()


def test_a_damaged_cell_is_trained_again(again, quick):
    damaged = sorted(FOLDER.iterdir())[1]
    damaged.write_text(damaged.read_text().replace('val_accuracy": 0.', 'val_accuracy": 0.1'))
    train()
    assert len(quick) == 1
    assert cells.read(damaged, "grid@squares")[0].val_accuracy == 0.5


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": (16, 1000)}, r"images 1000, all_but_last 0: experiments\.x\.training\.images is 1,000; the "),
        ({"all_but_last": (13,)}, r"images 16, all_but_last 13: freeze: all_but_last: 13 layers"),
    ],
)
def test_more_images_or_layers_than_there_are_are_refused_and_no_table_is_written(again, changes, says):
    PATH.unlink()
    with pytest.raises(ModelError, match=r"^grids\.squares, " + says):
        train(**changes)
    assert not PATH.exists()


def test_a_loss_that_is_no_number_names_its_cell_and_epoch_and_what_is_done_stays(again):
    before = kept()
    recipe = phase(mounted("x"), "fine_tune")
    diverging = recipe.phase.optimizer.model_copy(update={"learning_rate": 1e38})
    with pytest.raises(ModelError) as refusal:
        train(recipe.model_copy(update={"phase": recipe.phase.model_copy(update={"optimizer": diverging})}))
    place, _, found = refusal.value.found.partition(": ")
    assert place == "grids.squares, images 16, all_but_last 0"
    assert found.startswith("fine_tune, epoch 0")
    assert found.endswith("loss is nan")
    assert "learning_rate" in refusal.value.action
    assert before.items() <= kept().items()


def test_a_worker_of_another_kind_than_the_first_is_refused_with_the_difference(
    project, quick, monkeypatch, worker
):
    # Between the question and the first cell.
    asked = []
    monkeypatch.setattr(grid, "_finished", lambda job: asked.append(job) or [])
    monkeypatch.setattr(one_cell.runtime, "machine", lambda threads: {"threads": threads, "onednn": not asked})
    with pytest.raises(cluster.ClusterError) as refusal:
        train()
    (address,) = worker.scheduler_info["workers"]
    assert refusal.value.found == (
        f"grids.squares: worker {address} is of another kind than {address}: onednn is False, not True"
    )
    assert quick == []


@pytest.mark.long
def test_two_workers_of_which_one_computes_with_other_kernels_are_refused(project, monkeypatch):
    monkeypatch.delenv(cluster.ADDRESS)
    monkeypatch.setattr(grid, "_workers", lambda *_: [{}, {"env": {"TF_ENABLE_ONEDNN_OPTS": "0"}}])
    with pytest.raises(
        cluster.ClusterError, match=r"another kind than \S+: onednn is (True, not False|False, not True)"
    ):
        train()
    assert not PATH.exists()


def test_a_worker_that_does_not_see_the_project_is_refused(project, monkeypatch, tmp_path):
    monkeypatch.setattr(grid.Path, "cwd", lambda: tmp_path / "elsewhere")
    with pytest.raises(cluster.ClusterError, match=r"worker \S+ does not see \S+/elsewhere"):
        train()


# --- workers -----------------------------------------------------------------------------------------------


def test_a_worker_with_several_threads_trains_one_cell_at_a_time(project, monkeypatch):
    together, most = set(), []

    def run(model, phase, data, **_):
        together.add(threading.get_ident())
        most.append(len(together))
        time.sleep(0.05)
        together.remove(threading.get_ident())
        return [{"val_accuracy": 0.5}]

    monkeypatch.setattr(one_cell.phases, "run", run)
    with LocalCluster(
        n_workers=1, threads_per_worker=4, processes=False, dashboard_address="127.0.0.1:0"
    ) as local:
        monkeypatch.setenv(cluster.ADDRESS, local.scheduler_address)
        train()
    assert most == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("machine", "changes", "expected"),
    [
        ((1, 8e9, ""), {}, [{"MEMORY": 8e9}]),
        ((5, 8e9, ""), {}, [{"MEMORY": 4e9}] * 2),
        ((5, 8e9, ""), {"threads": 1}, [{"MEMORY": 4e9}] * 2),
        ((64, 2e9, ""), {}, [{"MEMORY": 2e9}]),
        ((64, 640e9, ""), {}, [{"MEMORY": 160e9}] * 4),
        ((1, 8e9, "2,5"), {}, [{"MEMORY": 4e9, "GPU": "2"}, {"MEMORY": 4e9, "GPU": "5"}]),
        ((1, 8e9, "2,5"), {"strategy": "mirrored"}, [{"MEMORY": 8e9, "GPU": "2,5"}]),
    ],
)
def test_there_is_a_local_worker_a_gpu_or_as_many_as_cores_and_memory_suffice_for(
    machine, changes, expected, monkeypatch
):
    cores, memory, gpus = machine
    monkeypatch.setattr(grid, "cpu_count", lambda: cores)
    monkeypatch.setattr(grid, "memory_limit", lambda: int(memory))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    found = grid._workers(Training(seed=1, batch_size=2, **changes), most=4)
    for worker, wanted in zip(found, expected, strict=True):
        assert worker["resources"]["MEMORY"] == wanted["MEMORY"]
        assert worker["resources"].get("GPU", 0) == ("GPU" in wanted)
        assert worker.get("env", {}).get("CUDA_VISIBLE_DEVICES") == wanted.get("GPU")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 50))])
def test_two_workers_of_which_one_is_killed_make_the_bytes_of_one(trained, project, monkeypatch, seed):
    monkeypatch.delenv(cluster.ADDRESS)
    monkeypatch.setattr(grid, "cpu_count", lambda: 4)
    draw, killed = random.Random(seed), []  # noqa: S311 (no secret)

    def workers():
        for one in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(one.cmdline()):
                    yield one

    def kill():
        begun = draw.randint(1, 3)
        while len(list(FOLDER.glob("*.lock"))) < begun:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 1.0))
        draw.choice(list(workers())).kill()
        killed.append(not PATH.exists())

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    train()
    killer.join()
    assert killed == [True]
    assert PATH.read_bytes() == (trained[0] / PATH).read_bytes()
    assert {path.suffix for path in FOLDER.iterdir()} == {".json"}
