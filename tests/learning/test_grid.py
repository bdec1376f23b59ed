"""A row of a grid on the films of `project`: two classes, some 50 training images, a compact network."""

import contextlib
import shutil
from types import SimpleNamespace

import builders
import keras
import numpy as np
import pytest

from glassbox.artifacts import cells, split
from glassbox.learning import acquire, checkpoint, grid, phases
from glassbox.learning.errors import ModelError
from glassbox.learning.lesson import Lesson
from glassbox.params.grids import Grid, Row
from glassbox.params.read import block
from glassbox.paths import WORK
from glassbox.recipes import mounted, phase

PATH = cells.row_path("squares", "row")


@pytest.fixture(scope="module")
def ready(data, compact_weights, tmp_path_factory):
    """A project with a grid of one row, and the weights that it starts from."""
    folder = tmp_path_factory.mktemp("grid")
    shutil.copytree(data / "data", folder / "data")
    path, sha256 = compact_weights
    experiment = builders.experiment(
        weights="kept",
        model={"backbone": "compact", "normalise": "standardise", "dropout": 0.4},
        fine_tune=builders.phase(epochs=7, freeze="everything", optimizer={"learning_rate": 0.01})
        | {"early_stopping": {"patience": 1}},
    )
    row = {"grid": "squares", "experiment": "x", "split": "squares", "weights": "kept", "images": 32}
    values = builders.document(
        weights={"kept": {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}},
        experiments={"x": experiment},
        grids={"squares": {"experiment": "x", "choices": 1, "epochs": 2, "steps_per_epoch": 2}},
        rows={"row": row | {"all_but_last": [0, 3]}},
    )
    with contextlib.chdir(folder):
        acquire.make(builders.parameters(values).weights["kept"], "kept")
    return folder


@pytest.fixture(scope="module")
def trained(ready, tmp_path_factory):
    """The project once its row was trained, and what each cell was trained with, in the order they ran."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(ready, folder)
    seen, run = [], phases.run

    def spying(model, phase, lesson, **rest):
        before = [layer.get_weights() for layer in model.layers]
        rows = run(model, phase, lesson, **rest)
        moved = {
            layer.name
            for layer, old in zip(model.layers, before, strict=True)
            if any(not np.array_equal(a, b) for a, b in zip(old, layer.get_weights(), strict=True))
        }
        seen.append(SimpleNamespace(lesson=lesson, phase=phase, before=before, moved=moved, rows=rows))
        return rows

    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid.phases, "run", spying)
        train()
    return folder, seen


@pytest.fixture
def project(ready, tmp_path, monkeypatch):
    """A copy of the project, in which the test runs."""
    shutil.copytree(ready, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def train(**changes):
    """Trains the row, or what it is with some changes, as its stage does."""
    row = block("rows", "row", Row).model_copy(update=changes)
    grid.train(phase(mounted("x"), "fine_tune"), block("grids", "squares", Grid), row, "row")


def test_a_row_has_its_cells_with_their_accuracy_beside_the_majority_classifiers(trained, monkeypatch):
    folder, seen = trained
    monkeypatch.chdir(folder)
    found = cells.read(PATH, "grid@row")
    assert [(cell.images, cell.all_but_last) for cell in found] == [(32, 0), (32, 3)]
    share = split.read("squares", "validation")["label_Mass"].mean()
    for cell, one in zip(found, seen, strict=True):
        assert cell.val_accuracy == one.rows[-1]["val_accuracy"]
        assert cell.majority_accuracy == pytest.approx(max(share, 1 - share), abs=1e-6)
    assert not (WORK / "grid" / "row").exists()


def test_a_cell_is_trained_as_the_grid_and_the_fine_tuning_of_its_experiment_say(trained, monkeypatch):
    folder, seen = trained
    monkeypatch.chdir(folder)
    settings = phase(mounted("x"), "fine_tune")
    whole = Lesson.of(settings)
    assert len(whole.train) > 32
    for one in seen:
        assert (one.phase.epochs, one.phase.steps_per_epoch, one.phase.early_stopping) == (2, 2, None)
        assert one.phase.optimizer == settings.phase.optimizer
        assert one.lesson.augmentation == settings.augmentation
        assert (len(one.lesson.train), len(one.lesson.validation)) == (32, len(whole.validation))


def test_every_cell_begins_with_the_same_weights_and_trains_its_last_layers_alone(trained):
    none, three = trained[1]
    for one, other in zip(none.before, three.before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert none.moved == {"head_output"}
    assert three.moved == {"head_output", "block6_bn", "block6_conv", "block5_bn"}


def test_a_row_killed_after_a_cell_and_within_the_next_ends_in_the_same_bytes(trained, project, monkeypatch):
    save, write, put_aside, alive = checkpoint.Checkpoint.save, cells.write, [], {"cell 1", "epoch 3"}

    def dying_once(what):
        if what in alive:
            alive.remove(what)
            raise InterruptedError

    def dying_save(self, *args):
        save(self, *args)
        put_aside.append(self.path.name)
        dying_once(f"epoch {len(put_aside)}")

    def dying_write(path, finished, *rest):
        write(path, finished, *rest)
        dying_once(f"cell {len(finished)}")

    monkeypatch.setattr(checkpoint.Checkpoint, "save", dying_save)
    monkeypatch.setattr(grid.cells, "write", dying_write)
    for _ in range(2):
        with pytest.raises(InterruptedError):
            train()
        keras.utils.set_random_seed(np.random.default_rng().integers(1 << 30).item())
        assert not PATH.exists()
    train()
    assert not alive
    assert put_aside == ["0.npz", "0.npz", "3.npz", "3.npz"], "no epoch is trained twice"
    assert PATH.read_bytes() == (trained[0] / PATH).read_bytes()
    assert not (WORK / "grid" / "row").exists()


def test_what_another_row_put_aside_is_not_taken_up_and_damaged_cells_are_trained_again(project, monkeypatch):
    """Here a training lasts no time: what is looked at is which cells are."""
    row = [{"val_accuracy": 0.5}]
    trained, at = [], []

    def fast(*_, checkpoint, **__):
        checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.path.touch()
        at.append(checkpoint.path)
        trained.append(checkpoint.path.stem)
        if len(trained) == 2:
            raise InterruptedError
        return row

    monkeypatch.setattr(grid.phases, "run", fast)
    with pytest.raises(InterruptedError):
        train()
    finished = at[0].parent / "cells.json"
    whole = finished.read_text()
    finished.write_text(whole.replace("0.5", "0.6"))
    train()
    assert trained == ["0", "3", "0", "3"]
    finished.parent.mkdir(parents=True)
    finished.write_text(whole)
    train(images=31)
    assert trained[4:] == ["0", "3"]
    assert at[4].parent != finished.parent


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": 1000}, r"experiments\.x\.training\.images is 1,000; the training fold has \d\d"),
        ({"all_but_last": (13,)}, "freeze: all_but_last: 13 layers"),
    ],
)
def test_more_images_or_layers_than_there_are_are_refused_and_nothing_is_written(project, changes, says):
    with pytest.raises(ModelError, match=says):
        train(**changes)
    assert not PATH.exists()
