import hashlib
import io
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from glassbox.params.read import ParamsError
from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom
from glassbox.phantoms import films as generated
from glassbox.phantoms.films import Film
from glassbox.phantoms.findings import FINDINGS

BOXED = [name for name, finding in FINDINGS.items() if finding.box_name]


def _source(**settings: Any) -> PhantomSource:
    return PhantomSource(
        **({"kind": "phantom", "layout": "nih", "seed": 9, "patients": 12, "size": 64} | settings)
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "films.zip"
    phantom.write(_source(), path)
    return path


@pytest.fixture(scope="module")
def many() -> list[Film]:
    return generated.cohort(_source(patients=3000))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the same bytes ----------------------------------------------------------------------------------------


def test_a_cohort_is_the_same_bytes_twice(archive: Path, tmp_path: Path) -> None:
    phantom.write(_source(), tmp_path / "again.zip")
    assert _sha256(tmp_path / "again.zip") == _sha256(archive)


def test_the_bytes_of_an_archive_are_pinned(archive: Path) -> None:
    assert _sha256(archive) == "74daecca5ffdc40c4aceae684816a8265637b02f3aa0e61832b49b5f825f8b70"


def test_films_rendered_by_several_processes_are_the_same_bytes_in_the_same_order(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantom, "_PIXELS_WORTH_PROCESSES", 0)
    monkeypatch.setattr(phantom, "cpu_count", lambda: 2)
    phantom.write(_source(), tmp_path / "parallel.zip")
    assert _sha256(tmp_path / "parallel.zip") == _sha256(archive)


def test_rendering_uses_only_arithmetic_that_every_processor_rounds_alike() -> None:
    """Powers, exponentials, sines and sums over pixels may differ in the last bit between processors."""
    code = (
        "import numpy as np\n"
        "def refuse(name):\n"
        "    def call(*a, **k): raise AssertionError(name)\n"
        "    return call\n"
        "for name in 'exp sin cos tan arctan2 arctan log power hypot dot matmul einsum interp mean convolve"
        " float_power tanh cbrt'.split():\n"
        "    setattr(np, name, refuse(name))\n"
        "from glassbox.params.sources import PhantomSource\n"
        "from glassbox.phantoms import films as generated\n"
        "from glassbox.phantoms.findings import FINDINGS\n"
        "films = generated.cohort(PhantomSource(kind='phantom', layout='nih', seed=3, patients=60, size=32))\n"
        "for film in films: generated.render(film, 32), generated.boxes(film, 32)\n"
        "assert {f for film in films for f in film.findings} >= set(FINDINGS) - {'Hernia'}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    rooms = Path(phantom.__file__).parent
    for module in ("anatomy.py", "findings.py", "films.py", "archive.py"):
        text = (rooms / module).read_text()
        assert "**" not in text.replace("**kwargs", ""), module
        assert " @ " not in text, module


def test_a_patient_is_the_same_whatever_the_size_of_the_cohort() -> None:
    few, more = generated.cohort(_source(patients=5)), generated.cohort(_source(patients=40))
    assert more[: len(few)] == few
    late = generated.cohort(_source(patients=10, first_patient=6))
    assert [film for film in more if 6 <= film.patient < 16] == late
    assert np.array_equal(generated.render(late[0], 64), generated.render(more[len(few)], 64))


def test_seeds_and_patients_make_different_films() -> None:
    films = generated.cohort(_source(patients=4)) + generated.cohort(_source(patients=4, seed=4))
    rendered = {generated.render(film, 64).tobytes() for film in films}
    assert len(rendered) == len(films)


# --- the cohort --------------------------------------------------------------------------------------------


def test_prevalences_are_those_of_nih(many: list[Film]) -> None:
    counts = Counter(finding for film in many for finding in film.findings)
    for name, finding in FINDINGS.items():
        assert counts[name] / len(many) == pytest.approx(finding.share, rel=0.2, abs=0.002), name
    assert np.mean([not film.findings for film in many]) == pytest.approx(0.538, abs=0.02)


def test_a_prevalence_can_be_overridden_and_leaves_the_others() -> None:
    films = generated.cohort(_source(patients=3000, prevalence={"Infiltration": 0.8, "Effusion": 0.0}))
    counts = Counter(finding for film in films for finding in film.findings)
    assert counts["Infiltration"] / len(films) == pytest.approx(0.8, abs=0.02)
    assert counts["Effusion"] == 0
    assert counts["Mass"] / len(films) == pytest.approx(FINDINGS["Mass"].share, rel=0.15)


def test_an_unknown_finding_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="Infiltrate") as refusal:
        phantom.write(_source(prevalence={"Infiltrate": 0.3}), tmp_path / "films.zip")
    assert "Infiltration" in refusal.value.expected
    assert list(tmp_path.iterdir()) == []


def test_many_patients_have_one_film_and_few_have_many(many: list[Film]) -> None:
    films = Counter(film.patient for film in many)
    counts = np.array(list(films.values()))
    assert len(films) == 3000
    assert counts.mean() == pytest.approx(3.6, abs=0.1)
    assert np.mean(counts == 1) == pytest.approx(0.57, abs=0.02)
    assert np.mean(counts > 10) == pytest.approx(0.075, abs=0.015)
    assert counts.max() == 30


def test_findings_persist_partly_between_the_films_of_a_patient(many: list[Film]) -> None:
    pairs = [(a, b) for a, b in pairwise(many) if a.patient == b.patient]
    stays = np.mean(["Effusion" in b.findings for a, b in pairs if "Effusion" in a.findings])
    comes = np.mean(["Effusion" in b.findings for a, b in pairs if "Effusion" not in a.findings])
    assert 0.25 < stays < 0.6
    assert comes < 0.12


def test_people_and_views_are_as_in_nih(many: list[Film]) -> None:
    first = [film for film in many if film.follow_up == 0]
    assert np.mean([film.sex == "M" for film in first]) == pytest.approx(0.565, abs=0.03)
    assert np.median([film.age for film in many]) == pytest.approx(49, abs=4)
    assert all(1 <= film.age <= 110 for film in many)
    assert np.mean([film.view == "AP" for film in many]) == pytest.approx(0.40, abs=0.03)
    for a, b in pairwise(many):
        if a.patient == b.patient:
            assert (b.follow_up, b.sex) == (a.follow_up + 1, a.sex)
            assert b.age >= a.age


@pytest.mark.parametrize("seed", range(4))
def test_even_a_small_cohort_has_about_23_percent_of_its_films_in_the_test_list(seed: int) -> None:
    films = generated.cohort(_source(patients=150, seed=seed))
    assert np.mean([film.official_split == "test" for film in films]) == pytest.approx(0.23, abs=0.06)


# --- the archive -------------------------------------------------------------------------------------------


def _table(archive: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(archive) as members:
        return pd.read_csv(io.BytesIO(members.read(name)))


def _list(archive: Path, name: str) -> list[str]:
    with zipfile.ZipFile(archive) as members:
        return members.read(name).decode().splitlines()


def test_the_tables_have_the_quirks_of_nih_and_kaggle(archive: Path) -> None:
    entries = _table(archive, "Data_Entry_2017.csv")
    assert list(entries.columns) == [
        *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender"),
        *("View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]"),
        "Unnamed: 11",
    ]
    assert entries["Unnamed: 11"].isna().all()
    films = generated.cohort(_source())
    assert entries["Image Index"].tolist() == [film.image_id for film in films]
    assert entries["Finding Labels"].tolist() == ["|".join(f.findings) or "No Finding" for f in films]
    assert entries["Patient ID"].tolist() == [film.patient for film in films]
    assert (entries["Image Index"].str[:8].astype(int) == entries["Patient ID"]).all()

    lines = _list(archive, "BBox_List_2017.csv")
    assert lines[0] == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    assert all(len(line.split(",")) == 6 for line in lines[1:])
    hazy = [replace(film, findings=("Infiltration",), official_split="test") for film in films]
    rows = phantom._tables(hazy, 64)["BBox_List_2017.csv"].splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"Infiltrate"}


def test_the_official_lists_share_no_patient_and_hold_every_film(archive: Path) -> None:
    train, test = _list(archive, "train_val_list.txt"), _list(archive, "test_list.txt")
    assert train
    assert test
    assert not {name[:8] for name in train} & {name[:8] for name in test}
    assert sorted(train + test) == _table(archive, "Data_Entry_2017.csv")["Image Index"].tolist()


def test_boxed_films_lie_in_the_test_list_and_bear_the_finding(archive: Path) -> None:
    test = set(_list(archive, "test_list.txt"))
    labels = _table(archive, "Data_Entry_2017.csv").set_index("Image Index")["Finding Labels"]
    rows = [line.split(",") for line in _list(archive, "BBox_List_2017.csv")[1:]]
    assert rows
    for image, finding, *_ in rows:
        assert image in test
        assert finding.replace("Infiltrate", "Infiltration") in labels[image].split("|")


def test_members_are_stored_in_order_without_a_date_or_a_system_of_their_own(archive: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        infos = members.infolist()
    images = [info.filename for info in infos if info.filename.endswith(".png")]
    assert images == sorted(images)
    assert images[0] == "images_001/images/00000001_000.png"
    assert [info.filename for info in infos[len(images) :]] == [
        *("BBox_List_2017.csv", "Data_Entry_2017.csv", "test_list.txt", "train_val_list.txt")
    ]
    for info in infos:
        assert info.compress_type == zipfile.ZIP_STORED
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert (info.create_system, info.external_attr) == (3, 0o100644 << 16)


def test_a_folder_holds_the_films_of_1400_patients_about_as_many_as_nihs_first(many: list[Film]) -> None:
    assert [phantom._folder(patient) for patient in (1, 1_399, 1_400, 30_805)] == [1, 1, 2, 23]
    assert Counter(phantom._folder(film.patient) for film in many)[2] == pytest.approx(4_999, rel=0.05)


def test_images_are_grey_but_for_a_few_with_four_channels(archive: Path) -> None:
    films = generated.cohort(_source())
    assert [film.image_id for film in films if phantom._has_four_channels(film)] == ["00000005_018.png"]
    with zipfile.ZipFile(archive) as members:
        for film in films:
            stream = members.read(f"images_001/images/{film.image_id}")
            width, height, depth, colour = struct.unpack(">IIBB", stream[16:26])
            assert (width, height, depth, colour) == (64, 64, 8, 6 if phantom._has_four_channels(film) else 0)
            pixels = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
            rendered = generated.render(film, 64)
            if colour == 6:
                assert (pixels[..., 3] == 255).all()
                pixels = pixels[..., 0]
            assert np.array_equal(pixels, rendered)


def test_about_one_film_in_200_has_four_channels_also_in_the_demo(many: list[Film]) -> None:
    assert np.mean([phantom._has_four_channels(film) for film in many]) == pytest.approx(1 / 200, rel=0.3)
    demo = generated.cohort(_source(seed=2018, patients=450))
    assert sum(phantom._has_four_channels(film) for film in demo) == 13


def test_without_a_patient_the_others_have_the_same_bytes(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [film for film in generated.cohort(_source()) if film.patient != 4]
    monkeypatch.setattr(phantom, "cohort", lambda _: films)
    phantom.write(_source(), tmp_path / "fewer.zip")
    with zipfile.ZipFile(archive) as all_members, zipfile.ZipFile(tmp_path / "fewer.zip") as members:
        images = [name for name in members.namelist() if name.endswith(".png")]
        assert images == [
            name for name in all_members.namelist() if name.endswith(".png") and "/00000004_" not in name
        ]
        for name in images:
            assert members.read(name) == all_members.read(name)
        for name in set(members.namelist()) - set(images):
            others = [line for line in all_members.read(name).splitlines() if not line.startswith(b"00000004_")]
            assert members.read(name).splitlines() == others


def test_an_interrupted_archive_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(films: list[Film], size: int) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(phantom, "_tables", fail)
    with pytest.raises(KeyboardInterrupt):
        phantom.write(_source(patients=2), tmp_path / "films.zip")
    assert list(tmp_path.iterdir()) == []


# --- the films ---------------------------------------------------------------------------------------------


def _with(finding: str, films: list[Film]) -> list[Film]:
    """Films on which a finding is the only one, whoever has it."""
    return [replace(film, findings=(finding,)) for film in films[:24]]


def _difference(film: Film, size: int) -> np.ndarray:
    """What the findings of a film change: the same patient, pose and grain without them is taken away."""
    return generated.render(film, size).astype(int) - generated.render(replace(film, findings=()), size)


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_finding_can_be_seen(finding: str, many: list[Film]) -> None:
    strongest = [np.abs(_difference(film, 64)).max() for film in _with(finding, many)]
    assert np.median(strongest) > 15


@pytest.mark.parametrize("finding", BOXED)
def test_a_box_lies_in_the_film_and_around_what_the_finding_changes(finding: str, many: list[Film]) -> None:
    size, framed = 128, 0
    for film in _with(finding, many):
        for box in generated.boxes(film, size):
            framed += 1
            assert box.finding == finding
            assert box.x >= 0
            assert box.y >= 0
            assert box.width > 0
            assert box.height > 0
            assert box.x + box.width <= size
            assert box.y + box.height <= size
            inside = np.zeros((size, size), bool)
            inside[
                round(box.y) : max(round(box.y + box.height), round(box.y) + 1),
                round(box.x) : max(round(box.x + box.width), round(box.x) + 1),
            ] = True
            change = _difference(film, size) * (-1 if finding == "Pneumothorax" else 1)
            assert change[inside].mean() > change[~inside].mean() + 1, film.image_id
    assert framed > 15


def test_boxes_grow_with_the_film(many: list[Film]) -> None:
    film = _with("Mass", many)[0]
    (small,), (large,) = generated.boxes(film, 128), generated.boxes(film, 1024)
    assert (large.x, large.y, large.width, large.height) == pytest.approx(
        (8 * small.x, 8 * small.y, 8 * small.width, 8 * small.height)
    )


def test_only_the_findings_that_nih_boxes_have_boxes(many: list[Film]) -> None:
    films = [film for film in many[:400] if film.findings]
    found = {box.finding for film in films for box in generated.boxes(film, 128)}
    assert found == set(BOXED)


def test_hearts_are_larger_on_ap_films(many: list[Film]) -> None:
    film = next(film for film in many if not film.findings)
    shapes = [generated._build(replace(film, view=view), ())[0] for view in ("PA", "AP")]
    heart = [shape.heart for shape in shapes]
    assert heart[1] > 1.1 * heart[0]


def test_the_lungs_are_dark_and_lie_between_brighter_walls_heart_and_abdomen(many: list[Film]) -> None:
    films = [replace(film, findings=()) for film in many[:30]]
    film = np.mean([generated.render(film, 64) for film in films], axis=0)
    right, left, heart = film[18:34, 14:22].mean(), film[14:24, 42:50].mean(), film[38:44, 32:38].mean()
    assert max(right, left) + 40 < min(heart, film[58:, 16:48].mean(), film[30:40, 6:9].mean())
    assert film[:4, :4].mean() < 60


def test_a_film_looks_alike_at_every_size(many: list[Film]) -> None:
    for film in many[:5]:
        small, large = generated.render(film, 64), generated.render(film, 512)
        shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.98


def test_a_plain_classifier_tells_infiltration_from_no_finding_on_other_patients() -> None:
    films = generated.cohort(_source(patients=420, prevalence={"Infiltration": 0.4}))
    films = [film for film in films if "Infiltration" in film.findings or not film.findings]
    pixels = np.stack([generated.render(film, 32).ravel() for film in films]).astype(float)
    truth = np.array(["Infiltration" in film.findings for film in films])
    test = np.array([film.official_split == "test" for film in films])
    scale = StandardScaler().fit(pixels[~test])
    model = LogisticRegression(C=3e-4, max_iter=200, class_weight="balanced")
    model.fit(scale.transform(pixels[~test]), truth[~test])
    auc = roc_auc_score(truth[test], model.decision_function(scale.transform(pixels[test])))
    assert 0.7 < auc < 0.97
