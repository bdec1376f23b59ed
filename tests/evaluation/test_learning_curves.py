import finished
import pytest

from glassbox.evaluation import learning_curves
from glassbox.params.experiments import EarlyStopping


def trained(warm_start=1, fine_tune=3, **columns):
    """A history; `val_loss=[...]` gives one of its columns."""
    rows = finished.epochs(warm_start, fine_tune)
    for name, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    return rows


def test_settings_are_chosen_by_the_validation_of_the_epoch_whose_weights_were_kept():
    stopping = EarlyStopping(patience=1)
    # The warm start was better than any epoch of the fine-tuning, and its weights are gone.
    rows = trained(1, 3, val_loss=[0.1, 0.6, 0.4, 0.5], val_accuracy=[0.5, 0.6, 0.7, 0.8])
    assert learning_curves.kept(rows, stopping) == {"epoch": 2, "val_loss": 0.4, "val_accuracy": 0.7}
    assert learning_curves.kept(rows, None) == {"epoch": 3, "val_loss": 0.5, "val_accuracy": 0.8}
    assert learning_curves.kept(trained(1, 0, val_loss=[0.7]), stopping)["val_loss"] == 0.7
    assert learning_curves.kept([], stopping) == {}


@pytest.mark.parametrize(("epochs", "start"), [((2, 2), [1.5]), ((0, 4), []), ((4, 0), [])])
def test_curves_show_both_folds_and_where_fine_tuning_starts(figures, tmp_path, epochs, start):
    rows = trained(*epochs)
    learning_curves.plot(tmp_path / "curves.png", rows)
    for axes, name in zip(figures[0].axes, ("loss", "accuracy"), strict=True):
        train, validation, *starts = axes.lines
        assert list(train.get_xdata()) == [0, 1, 2, 3]
        assert list(train.get_ydata()) == [row[name] for row in rows]
        assert list(validation.get_ydata()) == [row[f"val_{name}"] for row in rows]
        assert [line.get_xdata()[0] for line in starts] == start


def test_curves_of_an_untrained_model_say_so(figures, tmp_path):
    learning_curves.plot(tmp_path / "curves.png", [])
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts] == ["no epoch was trained"] * 2
