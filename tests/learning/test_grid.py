"""A row of a grid on the films of `project`: two classes, some 50 training images, a compact network."""

import keras
import numpy as np
import pytest

from glassbox import layout, params
from glassbox.errors import ModelError
from glassbox.learning import acquire, cells, checkpoint, grid, phases
from glassbox.learning.batches import read_split
from glassbox.learning.lesson import Lesson
from glassbox.learning.objective import majority_accuracy

FRESH = {"epochs": 2, "steps_per_epoch": 3}


@pytest.fixture
def ready(make, project, compact_weights):
    """Builds parameters with a grid of one row, and writes the weights that it starts from."""

    def ready(images=32, all_but_last=(0, 3), **changes):
        path, sha256 = compact_weights
        kept = {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}
        experiment = make.experiment(
            weights="kept",
            warm_start=make.phase(epochs=3, freeze="everything").model_dump(),
            fine_tune=make.phase(epochs=7, freeze="everything", optimizer={"learning_rate": 0.01}).model_dump()
            | {"early_stopping": {"patience": 1}},
            **changes,
        )
        values = make.parameters({"kept": kept}, x=experiment).model_dump(mode="json")
        values["grids"] = {"squares": {"experiment": "x", "choices": 1} | FRESH}
        values["rows"] = {
            "row": {
                "grid": "squares",
                "experiment": "x",
                "dataset": "films_32",
                "split": "squares",
                "weights": "kept",
                "images": images,
                "all_but_last": list(all_but_last),
            }
        }
        parsed = params.parse(values, "params.yaml")
        (project / "data").unlink()
        (project / "data").mkdir()
        for folder in ("shards", "splits"):
            (project / "data" / folder).symlink_to(ready.data / "data" / folder)
        acquire.make(parsed, "kept")
        return parsed

    return ready


@pytest.fixture(autouse=True)
def _place_of_data(ready, data):
    ready.data = data


@pytest.fixture
def spy(monkeypatch):
    """What each cell was trained with: its lesson, phase and network, in the order they ran."""
    seen, run = [], phases.run

    def spying(model, phase, lesson, **rest):
        before = [layer.get_weights() for layer in model.layers]
        rows = run(model, phase, lesson, **rest)
        moved = {
            layer.name
            for layer, old in zip(model.layers, before, strict=True)
            if any(not np.array_equal(a, b) for a, b in zip(old, layer.get_weights(), strict=True))
        }
        seen.append((lesson, phase, before, moved, rows))
        return rows

    monkeypatch.setattr(grid.phases, "run", spying)
    return seen


def test_a_row_has_a_line_a_cell_with_its_accuracy_beside_the_majority_classifiers(ready, spy):
    parsed = ready()
    grid.train(parsed, "row")
    found = cells.read(layout.row("squares", "row"))
    assert [(cell.images, cell.all_but_last) for cell in found] == [(32, 0), (32, 3)]
    rows = read_split("squares")
    share = rows.loc[rows["fold"] == "validation", "label_Mass"].mean()
    for cell, (*_, history) in zip(found, spy, strict=True):
        assert cell.val_accuracy == history[-1]["val_accuracy"]
        assert cell.majority_accuracy == pytest.approx(max(share, 1 - share), abs=1e-6)
    assert layout.row("squares", "row").read_text().splitlines()[0].split(",") == [
        *("images", "all_but_last", "val_accuracy", "majority_accuracy", "relative")
    ]
    assert not (layout.WORK / "grid" / "row").exists()


def test_a_cell_is_trained_as_the_grid_and_the_fine_tuning_of_its_experiment_say(ready, spy):
    parsed = ready()
    grid.train(parsed, "row")
    for lesson, phase, *_ in spy:
        assert (phase.epochs, phase.steps_per_epoch, phase.early_stopping) == (2, 3, None)
        assert phase.optimizer == parsed.experiments["x"].fine_tune.optimizer
        assert len(lesson.train) == 32
        assert lesson.augmentation == parsed.experiments["x"].augmentation
    whole = Lesson.of(parsed, "x")
    assert len(whole.train) > 32
    assert len(spy[0][0].validation) == len(whole.validation)


def test_every_cell_begins_with_the_same_weights_and_trains_its_last_layers_alone(ready, spy):
    grid.train(ready(), "row")
    (_, _, first, none, _), (_, _, second, three, _) = spy
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert none == {"head_output"}
    assert three == {"head_output", "block6_bn", "block6_conv", "block5_bn"}


def test_a_row_killed_after_each_epoch_and_each_cell_ends_in_the_same_bytes(ready, monkeypatch):
    parsed = ready(model={"backbone": "compact", "normalise": "standardise", "dropout": 0.4})
    grid.train(parsed, "row")
    path = layout.row("squares", "row")
    undisturbed = path.read_bytes()
    path.unlink()
    save, write, trained, alive = checkpoint.Checkpoint.save, cells.write, [], []

    def dying_once(what):
        if what not in alive:
            alive.append(what)
            raise InterruptedError

    def dying_save(self, *args):
        save(self, *args)
        trained.append(self.path.name)
        dying_once(f"epoch {len(trained)}")

    def dying_write(written, target):
        write(written, target)
        if target != path:
            dying_once(f"cell {len(written)}")

    monkeypatch.setattr(checkpoint.Checkpoint, "save", dying_save)
    monkeypatch.setattr(grid.cells, "write", dying_write)
    for _ in range(6):
        with pytest.raises(InterruptedError):
            grid.train(parsed, "row")
        keras.utils.set_random_seed(np.random.default_rng().integers(1 << 30).item())
        assert not path.exists()
    grid.train(parsed, "row")
    assert alive == ["epoch 1", "epoch 2", "cell 1", "epoch 3", "epoch 4", "cell 2"]
    assert trained == ["0.npz", "0.npz", "3.npz", "3.npz"], "no epoch is trained twice"
    assert path.read_bytes() == undisturbed
    assert not (layout.WORK / "grid" / "row").exists()


def test_what_another_grid_put_aside_is_not_taken_up(ready, monkeypatch):
    parsed = ready(all_but_last=(0,))
    calls = []

    def failing(*args, **rest):
        calls.append(rest["checkpoint"].path.parent)
        raise InterruptedError

    monkeypatch.setattr(grid.phases, "run", failing)
    one = parsed.grids["squares"]
    for changed in (one, one.model_copy(update={"epochs": 3}), one.model_copy(update={"choices": 9})):
        with pytest.raises(InterruptedError):
            grid.train(parsed.model_copy(update={"grids": {"squares": changed}}), "row")
    assert calls[0] == calls[2] != calls[1]


def test_finished_cells_that_were_damaged_on_the_disk_are_trained_again(ready, monkeypatch, spy):
    parsed = ready(all_but_last=(0,))
    grid.train(parsed, "row")
    expected = layout.row("squares", "row").read_bytes()
    with grid.unfinished_row(parsed, "row") as folder:
        folder.mkdir(parents=True)
        (folder / "cells.csv").write_text("images,all_but\n7")
        grid.train(parsed, "row")
    assert len(spy) == 2
    assert layout.row("squares", "row").read_bytes() == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": 1000}, r"experiments\.x\.training\.images is 1,000; the training fold has \d\d"),
        ({"all_but_last": (0, 13)}, "freeze: all_but_last: 13 layers"),
    ],
)
def test_more_images_or_layers_than_there_are_are_refused_and_nothing_is_written(ready, changes, says):
    with pytest.raises(ModelError, match=says):
        grid.train(ready(**changes), "row")
    assert not layout.row("squares", "row").exists()


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("binary", [[1, 0], [1, 0], [1, 0], [0, 1]], 0.75),
        ("single_label", [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], 0.5),
        # Of each class what most images are: 3/4, 1, 1/2 and 3/4.
        ("multi_label", [[1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], 0.75),
    ],
)
def test_the_majority_classifier_gives_every_image_the_best_answer_there_is(make, easy, task, labels, expected):
    train, _ = easy
    fold = type(train)(train.images, train.positions[:4], np.array(labels, np.float32), train.draws[:4])
    assert majority_accuracy(make.lesson(train, fold, task)) == expected
