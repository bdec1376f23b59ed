import math

import pytest

from glassbox.assessment import history
from glassbox.errors import ReportError
from glassbox.params import EarlyStopping

HEADER = "epoch,phase,loss,accuracy,val_loss,val_accuracy,val_roc_auc,learning_rate\n"
WARM = "0,warm_start,0.7,0.5,0.7,0.5,0.5,0.001\n"
FINE = "1,fine_tune,0.6,0.6,0.6,0.6,0.6,0.0001\n"


def read(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text)
    return history.read(path)


def test_epochs_run_on_through_both_phases(tmp_path):
    trained = read(tmp_path, HEADER + WARM + FINE)
    assert trained.epochs == (0, 1)
    assert trained.curves["val_loss"] == (0.7, 0.6)
    assert trained.fine_tune_start == 1


@pytest.mark.parametrize("rows", ["", WARM, FINE.replace("1,", "0,", 1)])
def test_a_training_of_one_phase_or_none_has_no_change_of_phase(tmp_path, rows):
    assert read(tmp_path, HEADER + rows).fine_tune_start is None


def test_a_loss_that_diverged_is_kept(tmp_path):
    trained = read(tmp_path, HEADER + WARM.replace("0.7", "nan"))
    assert math.isnan(trained.curves["loss"][0])


BETTER = "2,fine_tune,0.5,0.6,0.4,0.7,0.6,0.0001\n"
WORSE = "3,fine_tune,0.4,0.6,0.5,0.8,0.6,0.0001\n"


def test_settings_are_chosen_by_the_validation_of_the_epoch_whose_weights_were_kept(tmp_path):
    trained = read(tmp_path, HEADER + WARM.replace("0.7", "0.1") + FINE + BETTER + WORSE)
    stopping = EarlyStopping(patience=1)
    assert trained.kept(stopping) == {"epoch": 2, "val_loss": 0.4, "val_accuracy": 0.7}
    assert trained.kept(None) == {"epoch": 3, "val_loss": 0.5, "val_accuracy": 0.8}
    assert read(tmp_path, HEADER + WARM).kept(stopping) == {"epoch": 0, "val_loss": 0.7, "val_accuracy": 0.5}
    assert read(tmp_path, HEADER).kept(stopping) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks epoch, phase, loss"),
        (HEADER.replace("val_loss", "loss_val") + WARM, "lacks val_loss"),
        (HEADER + WARM.replace("0.7", "good"), "good"),
        (HEADER + "0,warm_start,0.7\n", "number"),
        (HEADER + FINE, "epochs \\(1,\\)"),
        (HEADER + FINE.replace("1,", "0,", 1) + WARM.replace("0,", "1,", 1), "phases"),
        (HEADER + WARM.replace("warm_start", "cold_start"), "cold_start"),
    ],
)
def test_a_broken_history_is_refused(tmp_path, text, message):
    with pytest.raises(ReportError, match=message):
        read(tmp_path, text)


def test_a_missing_history_is_refused(tmp_path):
    with pytest.raises(ReportError, match="is not there"):
        history.read(tmp_path / "history.csv")
