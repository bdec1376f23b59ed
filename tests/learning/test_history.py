import numpy as np

from glassbox.learning import history


def rows(count):
    generator = np.random.default_rng(1)
    return [
        {"epoch": epoch, "phase": "warm_start" if epoch < 2 else "fine_tune"}
        | {name: round(float(generator.uniform(0, 3)), 6) for name in history.COLUMNS[2:]}
        for epoch in range(count)
    ]


def test_a_history_is_read_as_it_was_written_and_written_as_it_was_read(tmp_path):
    history.write(rows(500), tmp_path / "one.csv")
    read = history.read(tmp_path / "one.csv")
    assert read == rows(500)
    history.write(read, tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_history_without_epochs_is_its_header(tmp_path):
    history.write([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text() == ",".join(history.COLUMNS) + "\n"
    assert history.read(tmp_path / "none.csv") == []


def test_an_epoch_is_said_in_one_line(capsys):
    history.say(rows(3)[2])
    said = capsys.readouterr().out
    assert said.startswith("fine_tune epoch 2: loss ")
    assert said.count("\n") == 1
    assert all(name in said for name in history.COLUMNS[2:])
