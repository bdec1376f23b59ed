import finished
import pytest

from glassbox.assessment import curves
from glassbox.assessment.history import History
from glassbox.params.experiments import EarlyStopping


def trained(warm_start=1, fine_tune=3, **losses):
    """A history; `val_loss=[...]` gives one of its columns."""
    rows = finished.epochs(warm_start, fine_tune)
    for name, column in losses.items():
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    return History.of(rows)


def test_epochs_run_on_through_both_phases():
    history = trained(warm_start=2, fine_tune=2)
    assert history.epochs == (0, 1, 2, 3)
    assert history.fine_tune_start == 2
    assert [len(curve) for curve in history.curves.values()] == [4] * 4


@pytest.mark.parametrize("epochs", [(0, 0), (2, 0), (0, 2)])
def test_a_training_of_one_phase_or_none_has_no_change_of_phase(epochs):
    assert trained(*epochs).fine_tune_start is None


def test_settings_are_chosen_by_the_validation_of_the_epoch_whose_weights_were_kept():
    stopping = EarlyStopping(patience=1)
    # The warm start was better than any epoch of the fine-tuning, and its weights are gone.
    history = trained(1, 3, val_loss=[0.1, 0.6, 0.4, 0.5], val_accuracy=[0.5, 0.6, 0.7, 0.8])
    assert history.kept(stopping) == {"epoch": 2, "val_loss": 0.4, "val_accuracy": 0.7}
    assert history.kept(None) == {"epoch": 3, "val_loss": 0.5, "val_accuracy": 0.8}
    assert trained(1, 0, val_loss=[0.7]).kept(stopping)["val_loss"] == 0.7
    assert trained(0, 0).kept(stopping) == {}


@pytest.mark.parametrize(("epochs", "lines"), [((2, 2), 3), ((0, 4), 2)])
def test_curves_show_both_folds_and_where_fine_tuning_starts(figures, tmp_path, epochs, lines):
    history = trained(*epochs)
    curves.draw(tmp_path / "curves.png", history)
    for axes, name in zip(figures[0].axes, ("loss", "accuracy"), strict=True):
        train, validation, *start = axes.lines
        assert tuple(train.get_ydata()) == history.curves[name]
        assert tuple(validation.get_ydata()) == history.curves[f"val_{name}"]
        assert len(axes.lines) == lines
        assert all(line.get_xdata()[0] == 1.5 for line in start)


def test_curves_of_an_untrained_model_say_so(figures, tmp_path):
    curves.draw(tmp_path / "curves.png", trained(0, 0))
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts] == ["no epoch was trained"] * 2
