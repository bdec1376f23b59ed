"""An erasure's data: an archive without the patients in the old one's place, and digests in that of their ids."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from glassbox.archives.download import download
from glassbox.artifacts import archive, catalog, members
from glassbox.catalogs import build as catalogs
from glassbox.errors import GlassboxError
from glassbox.files import sha256_file
from glassbox.lineage.withdrawal.edited import edited
from glassbox.lineage.withdrawal.replace import replace, seal
from glassbox.lineage.withdrawal.withdraw import withdraw
from glassbox.params import cut_archive, erased, withdrawn
from glassbox.params.document import checked, load
from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS
from glassbox.shards.strip import strip

TARGET = Path("archives/films.zip")
MADE = ("data/catalogs", "data/shards", "data/splits", "metrics/splits")


def drawn(project, seed, count=5):
    return sorted(np.random.default_rng(seed).choice(project.patients(), count, replace=False).tolist())


def put_on_the_list(*patients):
    """What a withdrawal writes."""
    withdrawn.write("films", sorted({*withdrawn.read("films"), *patients}))
    PARAMS.write_text(edited(PARAMS.read_text(), ["withdrawn"], withdrawn.section(["films"])))


def erase(*patients, target=TARGET):
    put_on_the_list(*patients)
    replaced = replace("films", patients, target)
    seal("films", patients)
    return replaced


def fetch():
    """What the stage `download` does."""
    download(load().sources["films"], "films")


def build_catalog():
    """What the stage `catalog` does."""
    params = load()
    catalogs.build(params.sources["films"], "films", params.withdrawn["films"])


def refusal(work):
    with pytest.raises(GlassboxError) as refused:
        work()
    return refused.value


# --- what is left ------------------------------------------------------------------------------------------


def test_what_is_built_of_the_new_archive_is_what_would_be_had_they_never_been_there_and_little_is_decoded(
    project, never, capfd
):
    patients = drawn(project, seed=2)
    images, shards_of = project.images(*patients), project.shards()
    wanted = never(patients, *MADE)
    replaced = erase(*patients)
    held = {shards_of[image] for image in images}
    assert strip("films_32", images) == sorted(held)
    fetch()
    capfd.readouterr()
    project.build()
    assert project.files(*MADE) == wanted
    stay = sum(shard not in held for shard in shards_of.values())
    assert f"films_32: {stay} of {len(shards_of) - len(images)} images did not change" in capfd.readouterr().err
    assert sha256_file(archive.path("films")) == replaced.sha256


def test_nothing_of_them_is_in_the_new_zip_nor_in_any_file_that_was_written(project):
    patients = drawn(project, seed=3)
    images, old = set(project.images(*patients)), zipfile.ZipFile(archive.path("films"))
    films = [old.read(name) for name in old.namelist() if Path(name).name in images]
    # Where in a film its data lie: a PNG of such a size has one piece of them.
    windows = [film[film.index(b"IDAT") :][20:60] for film in films]
    replaced = erase(*patients)
    assert len(films) == len(replaced.dropped) == len(images)
    new, content = zipfile.ZipFile(TARGET), TARGET.read_bytes()
    assert not any(window in content for window in windows)
    assert not any(image.encode() in content for image in images)
    rows = pd.read_csv(io.BytesIO(new.read("Data_Entry_2017.csv")), dtype=str, index_col=False)
    assert not set(rows["Patient ID"]) & set(patients)
    assert len(rows) == len(set(old.namelist()) - set(replaced.dropped)) - 4
    written = [*filter(Path.is_file, Path("conf").rglob("*")), PARAMS]
    names = {*images, *(f"'{patient}'" for patient in patients), *(f"\n{patient}\n" for patient in patients)}
    assert [path for path in written if any(name in f"\n{path.read_text()}" for name in names)] == []
    assert list(Path("work/erasure").iterdir()) == []


def test_the_others_films_are_compressed_as_they_were(project):
    erase(*drawn(project, seed=3))
    old, new = archive.path("films").read_bytes(), TARGET.read_bytes()
    before, after = zipfile.ZipFile(archive.path("films")), zipfile.ZipFile(TARGET)
    for info in after.infolist():
        if info.filename.endswith(".png"):
            was = before.getinfo(info.filename)
            length = 30 + len(info.filename) + info.compress_size
            assert new[info.header_offset :][:length] == old[was.header_offset :][:length]


def test_parameters_name_the_new_archive_and_digests_and_nothing_else_in_them_changes(project):
    patients = drawn(project, seed=4)
    text = PARAMS.read_text().replace("profile: test", "profile:   'test'  # by hand")
    PARAMS.write_text(text)
    replaced, key = erase(*patients), erased.read_key()
    source = {"kind": "archive", "layout": "nih", "missing_share": 0.0, "unlisted_share": 0.0}
    source |= {"path": str(TARGET), "sha256": replaced.sha256}
    digests = sorted(erased.digest(key, "films", patient) for patient in patients)
    now = yaml.safe_load(PARAMS.read_text())
    assert now == {**yaml.safe_load(text), "sources": {"films": source}, "withdrawn": {"films": digests}}
    assert withdrawn.path("films").read_text().splitlines() == digests
    assert "profile:   'test'  # by hand\n" in PARAMS.read_text()
    assert PARAMS.read_text().partition("datasets:")[2] == text.partition("datasets:")[2]
    load()


# --- the key -----------------------------------------------------------------------------------------------


def counted(project):
    rows, _ = catalog.read("films", ["patient_id"])
    return set(rows["patient_id"])


def test_with_the_key_they_are_left_out_of_any_archive_and_without_it_only_the_one_without_them_is_taken(project):
    patients = drawn(project, seed=5)
    old, before = PARAMS.read_text(), counted(project)
    erase(*patients)
    new, settings = PARAMS.read_text(), load().sources["films"]
    # The archive from before, with the lists of today.
    asked = yaml.safe_load(old)["sources"]
    PARAMS.write_text(yaml.safe_dump({**yaml.safe_load(new), "sources": asked}))
    build_catalog()
    assert counted(project) == before - set(patients)
    erased.KEY.rename("key")
    values = checked(yaml.safe_load(PARAMS.read_text()), str(PARAMS))
    for work in (load, lambda: catalogs.build(values.sources["films"], "films", values.withdrawn["films"])):
        error = refusal(work)
        assert error.found.startswith("sources.films: patients were erased, and whether this archive holds them")
        assert settings.sha256 in error.expected
    PARAMS.write_text(new)
    fetch()
    build_catalog()
    assert counted(project) == before - set(patients)


def test_another_key_is_noticed(project):
    erase(*drawn(project, seed=5, count=1))
    erased.KEY.write_bytes(bytes(32))
    assert refusal(load).found.startswith("secrets/withdrawn.key is another key than the one")
    erased.KEY.write_bytes(b"short")
    assert refusal(load).found == "secrets/withdrawn.key has 5 bytes, not 32"


def test_without_the_key_of_earlier_erasures_nobody_is_erased_of_this_or_another_source(project):
    first, second = drawn(project, seed=5, count=2)
    erase(first)
    fetch()
    put_on_the_list(second)
    erased.KEY.unlink()
    before = project.files("conf", "archives", "params.yaml")
    error = refusal(lambda: replace("films", [second], TARGET))
    assert error.found.startswith(
        "secrets/withdrawn.key is not there: the one that conf/withdrawn/films.archive.yaml"
    )
    cut_archive.path("films").rename(cut_archive.path("of_another_source"))
    withdrawn.path("films").write_text(f"{second}\n")
    assert "of_another_source" in refusal(lambda: replace("films", [second], TARGET)).found
    assert not erased.KEY.exists()
    assert before["archives/films.zip"] == TARGET.read_bytes()


def test_whoever_was_erased_is_not_withdrawn_again(project):
    first, second = drawn(project, seed=5, count=2)
    erase(first)
    (digest,) = withdrawn.read("films")
    lines = withdraw("films", [first, second])
    assert lines[0] == f"withdrawn from films: {second}"
    assert f"already erased: {first}" in lines
    assert withdrawn.read("films") == [second, digest]
    fetch()
    build_catalog()
    erased.KEY.unlink()
    error = refusal(lambda: withdraw("films", [first]))
    assert error.found == f"films has no patient '{first}'"
    assert error.action.endswith("of the 1 who were erased: secrets/withdrawn.key, which is not there, would tell")


# --- one after another -------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["from the new archive", "from the one before the first"])
def test_a_second_erasure_takes_the_place_of_the_first(again, project):
    patients = drawn(project, seed=6)
    first, second = patients[:2], patients[2:]
    old, zipped = PARAMS.read_text(), archive.path("films").read_bytes()
    earlier = erase(*first).sha256
    if again:
        archive.path("films").write_bytes(zipped)
        values = yaml.safe_load(PARAMS.read_text()) | {"sources": yaml.safe_load(old)["sources"]}
        PARAMS.write_text(yaml.safe_dump(values))
    else:
        fetch()
    later = erase(*second).sha256
    cut = cut_archive.read("films")
    assert cut.archive.sha256 == later != earlier
    kinds = [(block["kind"], block.get("sha256")) for block in cut.replaces]
    assert kinds == [("phantom", None), ("archive", earlier)]
    fetch()
    build_catalog()
    assert not set(project.patients()) & set(patients)
    assert len(load().withdrawn["films"]) == len(patients)
    PARAMS.write_text(old)
    withdrawn.path("films").unlink()
    catalogs.build(load().sources["films"], "films")
    assert not set(project.patients()) & set(patients), "both are gone from the archive itself"


def test_who_was_only_withdrawn_stays_on_the_list_and_in_the_archive(project):
    withdrawn_one, erased_one = drawn(project, seed=7, count=2)
    images = project.images(withdrawn_one)
    put_on_the_list(withdrawn_one)
    erase(erased_one)
    assert withdrawn_one in load().withdrawn["films"]
    assert set(images) <= {Path(name).name for name in zipfile.ZipFile(TARGET).namelist()}


# --- refusals ----------------------------------------------------------------------------------------------


def test_what_lies_where_the_new_archive_shall_lie_is_not_overwritten(project):
    patients = drawn(project, seed=8, count=1)
    put_on_the_list(*patients)
    TARGET.parent.mkdir()
    TARGET.write_bytes(b"somebody's")
    error = refusal(lambda: replace("films", patients, TARGET))
    assert (error.found, error.action) == ("archives/films.zip is there already", "name another with --archive")
    assert TARGET.read_bytes() == b"somebody's"
    erase(*patients, target=Path("elsewhere.zip"))
    assert load().sources["films"].path == Path("elsewhere.zip")


@pytest.mark.parametrize("lost", ["data/archives/films.zip", "data/archives/films.members.parquet"])
def test_without_the_archive_and_its_index_nothing_is_cut(lost, project):
    patients = drawn(project, seed=8, count=1)
    put_on_the_list(*patients)
    Path(lost).unlink()
    error = refusal(lambda: replace("films", patients, TARGET))
    assert error.found == f"{lost} is not there"
    assert "`dvc repro download@films`" in error.action
    assert not TARGET.exists()


def test_an_archive_that_is_not_the_parameters_is_refused(project):
    first, second = drawn(project, seed=8, count=2)
    erase(first)
    # The new one was not fetched yet.
    put_on_the_list(second)
    assert "and the parameters say" in refusal(lambda: replace("films", [second], TARGET)).found
    fetch()
    zips = archive.path("films")
    members.write("films", members.read("films")[0][1:], sha256_file(zips))
    assert "has other members than" in refusal(lambda: replace("films", [second], TARGET)).found


def test_a_source_that_is_another_archive_under_the_same_key_is_refused(project):
    first, second = drawn(project, seed=8, count=2)
    old = yaml.safe_load(PARAMS.read_text())["sources"]
    erase(first)
    old["films"]["seed"] += 1
    PARAMS.write_text(yaml.safe_dump(yaml.safe_load(PARAMS.read_text()) | {"sources": old}))
    put_on_the_list(second)
    assert "is another archive than the one" in refusal(lambda: replace("films", [second], TARGET)).found


def test_nothing_is_sealed_that_was_not_cut(project):
    first, second = drawn(project, seed=8, count=2)
    put_on_the_list(first, second)
    before = PARAMS.read_bytes()
    assert "films.cut.json does not say" in refusal(lambda: seal("films", [first])).found
    replace("films", [first], TARGET)
    assert "films.cut.json does not say" in refusal(lambda: seal("films", [second])).found
    assert PARAMS.read_bytes() == before


# --- killed ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of a process."""


def dying(writes):
    """A `Path.replace`, with which every writer ends, that dies after so many times."""
    rename, seen = Path.replace, iter(range(1, writes))

    def die(path, target):
        rename(path, target)
        if next(seen, None) is None:
            raise Killed

    return die


def erase_until_killed(writes, patients):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", dying(writes))
        replace("films", patients, TARGET)
        # An erasure removes it before it seals.
        archive.path("films").unlink()
        seal("films", patients)


@pytest.mark.parametrize(
    ("writes", "last"),
    [
        pytest.param(1, "what is begun", marks=pytest.mark.long),
        (2, "the zip"),
        pytest.param(3, "what was cut", marks=pytest.mark.long),
        pytest.param(4, "the key", marks=pytest.mark.long),
        (5, "the record"),
        (6, "the list"),
        pytest.param(7, "the parameters", marks=pytest.mark.long),
    ],
    ids=str,
)
def test_whenever_it_ends_the_same_again_goes_on_also_without_the_old_archive(writes, last, project):
    patients = drawn(project, seed=9, count=2)
    put_on_the_list(*patients)
    with pytest.raises(Killed):
        erase_until_killed(writes, patients)
    if last == "the list":
        assert "does not say what" in refusal(load).found
    done = replace("films", patients, TARGET)
    assert len(done.dropped) == len(project.images(*patients))
    seal("films", patients)
    params = load()
    assert params.sources["films"].sha256 == done.sha256 == sha256_file(TARGET)
    key = erased.read_key()
    assert set(params.withdrawn["films"]) == {erased.digest(key, "films", patient) for patient in patients}
    assert list(Path("work/erasure").iterdir()) == []
    after = project.files("conf", "params.yaml")
    assert replace("films", patients, TARGET) == (TARGET, done.sha256, [])
    seal("films", patients)
    assert project.files("conf", "params.yaml") == after


def test_what_was_begun_for_others_is_begun_anew(project):
    first, second = drawn(project, seed=9, count=2)
    put_on_the_list(first, second)
    replace("films", [first], TARGET)
    TARGET.unlink()
    theirs = replace("films", [first, second], TARGET)
    assert {Path(name).name for name in theirs.dropped} == set(project.images(first, second))


def test_a_lost_record_is_said(project):
    erase(*drawn(project, seed=9, count=1))
    cut_archive.path("films").unlink()
    error = refusal(load)
    assert isinstance(error, ParamsError)
    assert error.found.endswith("conf/withdrawn/films.archive.yaml is not there")
