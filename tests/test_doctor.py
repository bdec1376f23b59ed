"""`glassbox doctor` says, before hours are spent, what `dvc repro` will stumble over."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dask.system
import distributed.system
import numpy as np
import pytest
from builders import write_shards
from click.testing import CliRunner
from distributed import LocalCluster

from glassbox import cli, profiles
from glassbox.artifacts import archive as record
from glassbox.artifacts import weights as initial
from glassbox.cluster import ADDRESS
from glassbox.doctor import inputs, machine, project
from glassbox.doctor.finding import Finding, examine, finding, line
from glassbox.doctor.inputs import Archive
from glassbox.params.document import checked, load
from glassbox.params.weights import FileWeights, ImagenetWeights
from glassbox.shards import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dvc.repo import Repo

    from glassbox.params.document import Params

ROOT = Path(__file__).parents[1]
SECRET = "s3cret0fTheTests"  # noqa: S105
FILES = [{"suffix": ".png", "members": 40}, {"suffix": ".csv", "members": 2}]
FETCHED = {"kind": "kaggle", "ref": "alice/films", "version": 3, "files": FILES}


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone, as the working directory of a user without credentials."""
    root, home = tmp_path / "clone", tmp_path / "home"
    for folder in ("conf", ".dvc"):
        ignore = shutil.ignore_patterns("cache", "tmp", "config.local")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
    for file in ("params.yaml", "dvc.yaml", "uv.lock", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / file, root / file)
    for folder in ("src", "stages"):
        (root / folder).symlink_to(ROOT / folder)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    home.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(home))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KERAS_HOME", "MLFLOW_TRACKING_URI", "DVC_ROOT", ADDRESS):
        monkeypatch.delenv(name, raising=False)
    return root


def _files(root: Path) -> set[str]:
    """The files of a project without what DVC itself keeps of each command."""
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {file for file in files if not file.startswith((".dvc/tmp/", ".git/"))}


def test_in_a_fresh_clone_nothing_stands_in_the_way_and_nothing_is_left_behind(clone: Path) -> None:
    before = _files(clone)
    result = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert [row["name"] for row in report["findings"]] == [
        *("parameters", "repository", "code", "packages", "pipeline", "link type", "Kaggle credentials"),
        *("sources.phantom", "disk", "cores", "memory", "Dask", "compiled loops", "MLflow store", "accelerators"),
    ]
    assert report["findings"][0] == {
        "name": "parameters",
        "status": "ok",
        "found": "profile demo: infiltration_vgg16, pneumonia_resnet50",
        "action": "",
    }
    for row in report["findings"]:
        assert row["status"] in {"ok", "warning"}, row
        assert bool(row["action"]) == (row["status"] == "warning"), row
    assert _files(clone) == before


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for no accelerators, which takes as long as everything else."""
    monkeypatch.setattr(machine, "accelerators", lambda: "none")


@pytest.mark.usefixtures("without_tensorflow")
def test_the_table_has_a_line_for_each_finding_and_a_verdict(clone: Path) -> None:
    result = CliRunner().invoke(cli.main, ["doctor"])
    *table, verdict = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert verdict == "Nothing stands in the way of `dvc repro`."
    assert table[0] == f"{'ok':8} {'parameters':26} profile demo: infiltration_vgg16, pneumonia_resnet50"
    assert table[-1] == f"{'ok':8} {'accelerators':26} none"


@pytest.mark.usefixtures("without_tensorflow")
def test_a_problem_ends_with_status_1_and_leaves_stdout_to_json(clone: Path) -> None:
    (clone / "params.yaml").write_text("profile: [\n")
    (clone / "uv.lock").unlink()
    result = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert result.exit_code == 1
    assert result.stderr == "glassbox doctor: in the way of `dvc repro`: parameters, packages\n"
    report = json.loads(result.stdout)
    assert report["ok"] is False
    found = {row["name"]: row for row in report["findings"]}
    assert found["parameters"]["status"] == "problem"
    assert found["parameters"]["found"].startswith("params.yaml is no YAML: ")
    assert found["parameters"]["action"] == "mend it, or run `glassbox use demo`"
    assert found["repository"]["status"] == "ok"
    assert "disk" not in found


@pytest.mark.usefixtures("without_tensorflow")
def test_the_published_profile_needs_credentials_and_70_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**10))
    profiles.use("paper", [])
    result = CliRunner().invoke(cli.main, ["doctor"])
    assert result.exit_code == 1
    assert result.output.endswith("in the way of `dvc repro`: Kaggle credentials, disk\n")
    rows = result.output.splitlines()
    at = next(number for number, row in enumerate(rows) if "Kaggle credentials" in row)
    assert rows[at].split(maxsplit=3)[::3] == ["problem", "none, and nih, pneumonia must be fetched"]
    assert rows[at + 1].strip().startswith("next: make a token at https://www.kaggle.com/settings/api")
    assert any("kaggle:nih-chest-xrays/data version 3, 45.0 GB" in row for row in rows)
    # 45 GB + 2.46 GB, and 112,120 x (384^2 + 224^2) + 5,856 x 224^2 bytes of shards.
    assert any("10.0 GB free for data, 69.9 GB more needed" in row for row in rows)
    assert any("next: free 59.9 GB for data, or use a larger disk" in row for row in rows)


# --- the project -------------------------------------------------------------------------------------------


def _is(check: Callable[[], Any], status: str, found: str, action: str = "") -> Any:
    """Asserts what a check finds; returns its value, where it has one."""
    said, value = examine("", lambda: found if isinstance(found := check(), tuple) else (found, None))
    assert said.status == status, said
    assert found in said.found
    assert action in said.action
    assert bool(said.action) == (status != "ok")
    return value


def test_params_that_cannot_be_used_are_a_finding(clone: Path) -> None:
    path = clone / "params.yaml"
    for content, found in (
        (b"size: \xff", "is no YAML: "),
        (path.read_bytes().replace(b"size: 64", b"size: big"), "datasets.phantom_64.size: found 'big'"),
    ):
        path.write_bytes(content)
        assert _is(project.parameters, "problem", found, "mend") is None
    path.unlink()
    _is(project.parameters, "problem", "params.yaml is not there", "run `glassbox use demo`")


def test_every_line_of_a_refusal_stands_under_what_was_found() -> None:
    rows = line(Finding("parameters", "problem", "one\n  two", "mend them")).splitlines()
    assert rows[1:] == [" " * rows[0].index("one") + text for text in ("two", "next: mend them")]


def test_a_folder_that_dvc_cannot_work_in_is_a_problem(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".dvc" / "config.local").write_text("[cache]\ntype = wormhole\n")
    _is(project.repository, "problem", "Unsupported cache type", "mend .dvc/config or .dvc/config.local")
    (clone / ".dvc" / "config.local").unlink()
    monkeypatch.chdir(clone / "conf")
    _is(project.repository, "problem", "conf is not the project's root", f"change to {clone}")
    monkeypatch.chdir(clone)
    shutil.rmtree(clone / ".git")
    _is(project.repository, "problem", "is not a git repository", "run `git init`")
    monkeypatch.chdir(tmp_path)
    _is(project.repository, "problem", "is in no DVC project", "change to the project's folder")


@pytest.fixture
def repo(clone: Path) -> Iterator[Callable[..., Repo]]:
    """`repo(cache_type)`: the clone as DVC sees it, opened after the last change."""
    opened: list[Repo] = []

    def make(cache_type: str | None = None) -> Repo:
        if cache_type:
            (clone / ".dvc" / "config.local").write_text(f"[cache]\ntype = {cache_type}\n")
        _, found = project.repository()
        opened.append(found)
        return found

    yield make
    for found in opened:
        found.close()


def test_stages_that_dvc_cannot_lay_out_are_a_problem(clone: Path, repo: Callable[..., Repo]) -> None:
    _is(lambda: project.pipeline(repo()), "ok", " stages")
    for content, found in (
        ("stages: [\n", "dvc.yaml"),
        ("stages: {a: {cmd: 'echo ${nothing}'}}\n", "Could not find 'nothing'"),
    ):
        (clone / "dvc.yaml").write_text(content)
        _is(lambda: project.pipeline(repo()), "problem", found, "mend dvc.yaml")
    (clone / "dvc.yaml").unlink()
    _is(lambda: project.pipeline(repo()), "problem", "no stages", "git checkout dvc.yaml")


def test_packages_must_be_those_that_uv_locked_for_the_stages(clone: Path) -> None:
    _is(project.packages, "ok", f"tensorflow {version('tensorflow')}; all ")
    locked = (clone / "uv.lock").read_text()
    entry = f'name = "numpy"\nversion = "{version("numpy")}"'
    assert entry in locked
    (clone / "uv.lock").write_text(locked.replace(entry, 'name = "numpy"\nversion = "1.0"'))
    found = f"numpy {version('numpy')} is installed\n  expected: numpy 1.0, as locked in uv.lock"
    _is(project.packages, "problem", found, "run `uv sync`")
    (clone / "uv.lock").write_text("[[package]\n")
    _is(project.packages, "problem", "uv.lock cannot be read", "git checkout uv.lock")
    (clone / "stages").unlink()
    (clone / "src").unlink()
    _is(project.packages, "problem", "src/glassbox/", "git checkout")


def test_modules_of_another_copy_are_warned_of(clone: Path) -> None:
    _is(project.code, "ok", "the modules in src/")
    (clone / "src").unlink()
    (clone / "src" / "glassbox").mkdir(parents=True)
    _is(project.code, "warning", f"lies in {ROOT / 'src'}, not in {clone / 'src'}", "PYTHONPATH=src")


def test_a_store_that_is_none_is_a_problem_and_one_that_opens_is_not(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glassbox.tracking.store import open_store

    _is(project.store, "ok", f"sqlite:///{clone}/mlflow.db will be made")
    assert not (clone / "mlflow.db").exists()
    open_store()
    _is(project.store, "ok", f"sqlite:///{clone}/mlflow.db")
    (clone / "mlflow.db").write_text("no database" * 100)
    _is(project.store, "problem", "file is not a database", "move mlflow.db away")
    monkeypatch.setattr(os, "access", lambda path, _: path != clone)
    _is(project.store, "problem", f"{clone} cannot be written", "set MLFLOW_TRACKING_URI")


def test_a_server_that_does_not_answer_is_a_problem_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:1")
    _is(project.store, "problem", "http://***@127.0.0.1:1 cannot be used", "MLFLOW_TRACKING_URI")
    assert SECRET not in line(finding("", project.store))


# --- what comes from elsewhere -----------------------------------------------------------------------------


def _params(side: int = 32, **source: Any) -> Params:
    """Parameters of one source, `films`, and one dataset of it."""
    values: dict[str, Any] = {key: {} for key in ("splits", "weights", "experiments")}
    values |= {"profile": "test", "sources": {"films": {"layout": "nih"} | source}}
    return checked(values | {"datasets": {"small": {"source": "films", "size": side}}}, "params.yaml")


def _kaggle(**changes: Any) -> Params:
    return _params(**{"kind": "kaggle", "ref": "alice/films", "version": 3} | changes)


def _archive(path: Path | str) -> Params:
    return _params(kind="archive", path=str(path), sha256="0" * 64)


def _archives(params: Params) -> dict[str, Archive]:
    """What is known of the archives that can come to their places."""
    known = {key: examine("", partial(inputs.archive, source, key))[1] for key, source in params.sources.items()}
    return {key: archive for key, archive in known.items() if archive}


def _write(path: str | Path, content: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


def _record(**content: object) -> None:
    """What the download stage would record of an archive of five bytes."""
    record.write("films", {**content, "bytes": 5})


def _credentials(params: Params) -> Callable[[], str]:
    return partial(inputs.credentials, params, _archives(params))


def _source(params: Params) -> Callable[[], tuple[str, Archive]]:
    return partial(inputs.archive, params.sources["films"], "films")


def test_credentials_are_asked_for_only_where_something_must_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    _is(_credentials(load()), "ok", "not needed: nothing must be fetched")
    _is(_credentials(_kaggle()), "problem", "none, and films must be fetched", "KAGGLE_API_TOKEN")
    _record(**FETCHED)
    _is(_credentials(_kaggle()), "problem", "none, and films must be fetched", "KAGGLE_API_TOKEN")
    _write("data/archives/films.zip", "12345")
    _is(_credentials(_kaggle()), "ok", "not needed: nothing must be fetched")
    _is(_credentials(_kaggle(version=4)), "problem", "none, and films must be fetched", "KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "alice")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    _is(_credentials(_kaggle(version=4)), "ok", "KAGGLE_USERNAME and KAGGLE_KEY")
    assert SECRET not in line(finding("", _credentials(_kaggle(version=4))))


def test_a_token_that_cannot_be_read_is_a_problem_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET * 100)
    _is(_credentials(_kaggle()), "problem", "cannot be read: File name too long", "unset KAGGLE_API_TOKEN")
    assert SECRET not in line(finding("", _credentials(_kaggle())))


def test_an_archive_on_disk_must_be_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    move = "run `glassbox use PROFILE sources.films.path=WHERE_IT_IS`"
    _is(_source(_archive(path)), "problem", f"{path} is not there", move)
    path.write_text("a page that says: sign in")
    _is(_source(_archive(path)), "problem", f"{path} is no readable zip", move)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.png", "b.JPEG", "table.csv"):
            archive.writestr(name, b"x" * 1000)
    known = _is(_source(_archive(path)), "ok", f"{path}: 0 MB, 2 images")
    assert known == Archive(path.stat().st_size, images=2, made=False)


def test_a_source_that_is_made_needs_neither_its_zip_nor_kaggle(tmp_path: Path) -> None:
    _record(kind="archive", sha256="0" * 64, files=FILES)
    _write("data/archives/films.zip", "12345")
    params = _archive(tmp_path / "gone.zip")
    known = _is(_source(params), "ok", "data/archives/films.zip is there")
    assert known == Archive(bytes=5, images=40, made=True)
    _write("data/archives/films.zip", "1234")
    _is(_source(params), "problem", "gone.zip is not there", "sources.films.path")


def test_a_dataset_of_kaggle_needs_a_version_and_its_size_may_be_unknown() -> None:
    _is(_source(_kaggle()), "ok", "to be fetched: kaggle:alice/films version 3, unknown size")
    _is(
        _source(_kaggle(version=None)),
        "problem",
        "without a version",
        "write the one that https://www.kaggle.com/",
    )
    _is(_source(_kaggle(ref="nih-chest-xrays/data")), "ok", "kaggle:nih-chest-xrays/data version 3, 45.0 GB")


def test_a_damaged_record_of_a_dataset_of_kaggle_is_a_problem() -> None:
    _write(place := record.record_path("films"), "<<<<<<< HEAD")
    _is(_source(_kaggle()), "problem", f"{place} is damaged", f"git checkout {place}")


def _weights(key: str) -> Callable[[], str]:
    settings = load().weights[key]
    assert isinstance(settings, FileWeights | ImagenetWeights)
    return partial(inputs.weights, settings, key)


def test_weights_from_elsewhere_are_there_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles.use("paper", [])
    _is(_weights("imagenet_vgg16"), "ok", "fetched by Keras, about 100 MB, unless they are in ~/.keras/models")
    _write(made := initial.folder("imagenet_resnet50") / initial.FILE, "weights")
    _is(_weights("imagenet_resnet50"), "ok", f"{made} is there")
    own = FileWeights(kind="file", backbone="compact", path=Path("own.weights.h5"), sha256="0" * 64)
    _is(partial(inputs.weights, own, "own"), "problem", "no file own.weights.h5", "correct weights.own.path")
    _write("own.weights.h5", "weights")
    _is(partial(inputs.weights, own, "own"), "ok", "own.weights.h5: 0 MB")


# --- disk --------------------------------------------------------------------------------------------------


def test_the_link_type_is_the_first_configured_one_that_works(clone: Path, repo: Callable[..., Repo]) -> None:
    for configured, status, found, action, used in (
        ("hardlink,symlink", "ok", "hardlink: what DVC tracks lies on the disk once", "", "hardlink"),
        ("symlink,hardlink", "ok", "symlink: what DVC tracks lies on the disk once", "", "symlink"),
        ("copy", "warning", "on the disk twice", "cache.type reflink,hardlink,symlink", None),
    ):
        assert _is(partial(machine.link, repo(configured)), status, found, action) == used
    assert not (clone / "data").exists()
    assert not list(clone.glob("*.tmp"))
    assert not (clone / ".dvc" / "cache").exists()


def test_disks_that_dvc_cannot_link_between_are_told_of(
    repo: Callable[..., Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.fs import generic

    def full(*_: object) -> list[str]:
        raise OSError(30, "Read-only file system", "/cache")

    def link(cache_type: str | None = None) -> Callable[[], tuple[str, str]]:
        return partial(machine.link, repo(cache_type))

    monkeypatch.setattr(generic, "test_links", lambda *_: ["copy"])
    _is(link(), "problem", "none of reflink, hardlink, symlink works", "local cache.type copy")
    _is(link("hardlink,copy"), "warning", "twice", "move cache and data/ to one disk")
    monkeypatch.setattr(generic, "test_links", full)
    _is(link("hardlink,copy"), "problem", "Read-only file system: '/cache'", "writable")


GB = 10**9
CACHE = Path("/cache")


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`disks(data, cache)` gives each a disk with so many GB free; `disks(both)` gives them one."""

    def make(data: float, cache: float | None = None) -> None:
        def place(path: Path) -> SimpleNamespace:
            apart = path == CACHE and cache is not None
            free = round((cache if apart else data) * GB)
            return SimpleNamespace(free=free, stat=lambda: SimpleNamespace(st_dev=int(apart)))

        monkeypatch.setattr(machine, "existing", place)
        monkeypatch.setattr(shutil, "disk_usage", lambda place: place)

    return make


def _room(params: Params, archives: dict[str, Archive] | None = None, way: str = "hardlink") -> Callable[[], str]:
    return partial(machine.room, params, _archives(params) if archives is None else archives, way, CACHE)


@pytest.mark.parametrize(
    ("way", "one", "data", "cache"),
    [("reflink", 7, 7, 0), ("hardlink", 7, 7, 0), ("symlink", 12, 5, 7), ("copy", 14, 7, 7)],
)
def test_each_disk_must_have_room_for_what_the_link_type_puts_there(
    way: str, one: int, data: int, cache: int, disks: Callable[..., None]
) -> None:
    # An archive of 5 GB, and shards of 2 GB.
    room = _room(_kaggle(side=1000), {"films": Archive(5 * GB, images=2000)}, way)
    disks(one)
    _is(room, "ok", f"{one}.0 GB free for data, {one}.0 GB more needed")
    disks(one - 0.5)
    _is(room, "problem", f"{one}.0 GB more needed", "free 500 MB for data, or use a larger disk")
    disks(data, 6)
    needed = f"for data, {data}.0 GB more needed; 6.0 GB free for /cache, {cache}"
    _is(room, "problem" if cache > 6 else "ok", needed, "free 1.0 GB for /cache" if cache > 6 else "")


def test_what_is_made_needs_no_room_again(disks: Callable[..., None]) -> None:
    disks(1000)
    _is(_room(_kaggle(ref="paultimothymooney/chest-xray-pneumonia", side=1000)), "ok", "8.3 GB more needed")
    _record(**FETCHED)
    _write("data/archives/films.zip", "12345")
    _is(_room(_kaggle(side=1000)), "ok", "40 MB more needed")
    write_shards("small", ["a"], np.zeros((1, 32, 32)))
    _is(_room(_kaggle()), "ok", "0 MB more needed")
    _is(_room(_kaggle(side=1000)), "ok", "40 MB more needed")


def test_films_to_be_generated_are_reckoned_from_their_patients(disks: Callable[..., None]) -> None:
    disks(1000)
    # 3,600 films of 1,000 x 1,000 pixels, and their shards.
    _is(_room(_params(1000, kind="phantom", seed=1, patients=1000, size=1000)), "ok", "7.2 GB more needed")


def test_an_archive_that_cannot_come_takes_no_room(disks: Callable[..., None]) -> None:
    disks(1)
    _is(_room(_archive("gone.zip")), "ok", "0 MB more needed")


def test_an_unknown_size_is_a_warning_that_names_the_output(disks: Callable[..., None]) -> None:
    disks(1)
    unknown = "how large these will be: data/archives/films.zip, data/shards/small"
    _is(_room(_kaggle()), "warning", unknown, "see the dataset's page")


# --- the machine -------------------------------------------------------------------------------------------


def test_cores_are_those_that_affinity_and_control_groups_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(dask.system, "cpu_count", lambda: 2)
    _is(machine.cores, "ok", "2 of the machine's 8")


@pytest.mark.parametrize(
    ("cores", "limit", "status", "action"),
    [(2, 3.1, "ok", ""), (2, 2.9, "warning", "batch_size"), (9, 3.5, "warning", "DASK_SCHEDULER_ADDRESS")],
)
def test_too_little_memory_is_a_warning(
    cores: int, limit: float, status: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask.system, "cpu_count", lambda: cores)
    monkeypatch.setattr(distributed.system, "memory_limit", lambda: round(limit * GB))
    _is(machine.memory, status, f"{limit} GB; resizing takes up to ", action)


def test_a_named_cluster_should_have_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    _is(machine.cluster, "ok", "DASK_SCHEDULER_ADDRESS is not set")
    # A cluster each: one that is scaled while it runs was once seen to take minutes to close.
    for workers, status, says in ((0, "warning", ": 0 workers"), (1, "ok", ": 1 workers, 2 threads")):
        with LocalCluster(
            n_workers=workers,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster:
            address = cluster.scheduler_address
            monkeypatch.setenv(ADDRESS, address)
            _is(machine.cluster, status, f"{address}{says}", *["start `dask worker`"][workers:])
            for worker in cluster.workers.values():
                monkeypatch.setenv(ADDRESS, worker.address)
                _is(machine.cluster, "problem", "no scheduler answers (a Worker does)", "unset DASK_SCHEDULER_A")


def test_a_named_cluster_must_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        for address in ("tcp://127.0.0.1:1", "nonsense", "tls://127.0.0.1:1", silent):
            monkeypatch.setenv(ADDRESS, address)
            found = f"={address}: no scheduler answers ("
            _is(machine.cluster, "problem", found, "or unset DASK_SCHEDULER_ADDRESS")


def test_missing_loops_are_a_warning_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    _is(machine.loops, "ok", "at hand")
    monkeypatch.setattr(compiled, "load", lambda: compiled.Compiled(None, "ImportError: no llvmlite"))
    _is(machine.loops, "warning", "none (ImportError: no llvmlite): the same pixels", "run `uv sync`")


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`python(does)` puts a program in Python's place; NVIDIA's driver would list its devices in `gpus`."""

    def make(does: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.setattr("glassbox.cluster.NVIDIA", tmp_path / "gpus")
        monkeypatch.setattr(machine, "_DEVICES", 1 if "sleep" in does else 60)

    return make


@pytest.mark.parametrize(
    ("does", "status", "found", "action"),
    [
        ("""echo noise; echo '["NVIDIA H200", "NVIDIA H200"]'""", "ok", "NVIDIA H200, NVIDIA H200", ""),
        ("echo '[]'", "ok", "none: TensorFlow computes on the CPU", ""),
        ("echo why >&2; echo 'ImportError: no' >&2; exit 1", "problem", "be imported: ImportError: no", "uv sync"),
        ("exit 1", "problem", "cannot be imported: ?", "uv sync"),
        ("kill -ILL $$", "problem", "crashed when it was imported: Illegal instruction", "AVX"),
        ("exec sleep 60", "problem", "did not say within 1 s", "nvidia-smi"),
    ],
)
def test_accelerators_are_those_that_tensorflow_sees_if_it_runs(
    does: str, status: str, found: str, action: str, python: Callable[[str], None]
) -> None:
    python(does)
    _is(machine.accelerators, status, found, action)


def test_a_gpu_that_tensorflow_does_not_see_is_a_warning(tmp_path: Path, python: Callable[[str], None]) -> None:
    (tmp_path / "gpus" / "0000:04:00.0").mkdir(parents=True)
    python("echo '[]'")
    _is(machine.accelerators, "warning", "does not see the 1 of NVIDIA's driver", "and-cuda")
