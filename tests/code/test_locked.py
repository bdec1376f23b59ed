"""What is imported belongs to a package, and uv.lock has one version of it."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from glassbox.code import locked
from glassbox.errors import GlassboxError

ROOT = Path(__file__).resolve().parents[2]


def _lock(*packages: tuple[str, str]) -> str:
    return "version = 1\n" + "".join(
        f'[[package]]\nname = "{name}"\nversion = "{is_}"\n' for name, is_ in packages
    )


@pytest.mark.parametrize(
    ("imported", "package"),
    [
        ("cv2", "opencv-python-headless"),
        ("skimage", "scikit-image"),
        ("sklearn", "scikit-learn"),
        ("yaml", "pyyaml"),
        ("PIL", "pillow"),
        ("ml_dtypes", "ml-dtypes"),
        ("markupsafe", "markupsafe"),
        ("numpy", "numpy"),
    ],
)
def test_an_import_is_known_by_its_package_and_locked_version(imported, package):
    (version,) = [
        entry["version"]
        for entry in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
        if entry["name"] == package
    ]
    assert locked.packages(ROOT, [imported]) == {package: version}


def test_packages_are_sorted_by_their_names():
    assert list(locked.packages(ROOT, ["skimage", "numpy", "cv2"])) == [
        "numpy",
        "opencv-python-headless",
        "scikit-image",
    ]


def test_the_lock_counts_and_not_what_is_installed(written):
    root = written({"uv.lock": _lock(("numpy", "0.0.1"))})
    assert locked.packages(root, ["numpy"]) == {"numpy": "0.0.1"}


def test_every_locked_package_with_files_under_a_name_brings_it_and_no_other_one(written, monkeypatch):
    installed = {"shared": ["One_Half", "other.half", "beside-the-project"]}
    monkeypatch.setattr(locked, "packages_distributions", lambda: installed)
    locked._bringing.cache_clear()
    try:
        root = written({"uv.lock": _lock(("one-half", "1"), ("other-half", "2"))})
        assert locked.packages(root, ["shared"]) == {"one-half": "1", "other-half": "2"}
    finally:
        locked._bringing.cache_clear()


def test_an_import_of_no_locked_package_is_refused(written):
    for root, imported in ((ROOT, "no_such_package"), (written({"uv.lock": _lock(("keras", "1"))}), "numpy")):
        with pytest.raises(GlassboxError) as refusal:
            locked.packages(root, [imported])
        assert refusal.value.found == f"{imported} is imported, but no installed package of uv.lock brings it"
        assert "uv add" in refusal.value.action


def test_a_package_locked_in_two_versions_is_refused_with_both(written):
    root = written({"uv.lock": _lock(("numpy", "2.4.6"), ("keras", "1"), ("numpy", "2.3.0"))})
    assert locked.packages(root, ["keras"]) == {"keras": "1"}
    with pytest.raises(GlassboxError) as refusal:
        locked.packages(root, ["numpy"])
    assert refusal.value.found == "uv.lock has numpy in 2 versions: 2.4.6, 2.3.0"


def test_a_package_locked_in_no_version_is_refused(written):
    root = written({"uv.lock": '[[package]]\nname = "numpy"\nsource = { editable = "." }\n'})
    with pytest.raises(GlassboxError, match="numpy in 0 versions: none"):
        locked.packages(root, ["numpy"])


@pytest.mark.parametrize("text", [None, "<<<<<<< HEAD", "version = 1", "package = 1", "package = [1]"])
def test_a_lock_that_cannot_be_read_is_refused(written, text):
    root = written({} if text is None else {"uv.lock": text})
    with pytest.raises(GlassboxError, match=r"^uv\.lock cannot be read: "):
        locked.packages(root, ["numpy"])


def test_the_names_are_those_by_which_versions_are_asked_for():
    """`installed.check` asks with them."""
    for name, version in locked.packages(ROOT, ["cv2", "skimage", "yaml", "ml_dtypes", "PIL"]).items():
        assert importlib.metadata.version(name) == version


def test_the_files_that_a_package_may_be_installed_from_are_known_by_their_hashes():
    version = importlib.metadata.version("numpy")
    found = locked.hashes(ROOT, {"numpy": version, "keras": "0.0.1", "nobody": "1.0"})
    (entry,) = [one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if one["name"] == "numpy"]
    wanted = {file["hash"].removeprefix("sha256:") for file in (*entry["wheels"], entry["sdist"])}
    assert found == {"numpy": sorted(wanted)}, "another version, or what is not locked, has none"


@pytest.mark.parametrize("content", ["", "package = 3", "package = ['numpy']", "[[package]]\nname = 3", "\0"])
def test_hashes_of_a_damaged_lock_are_refused(tmp_path, content):
    (tmp_path / "uv.lock").write_text(content)
    with pytest.raises(GlassboxError, match=r"uv\.lock cannot be read"):
        locked.hashes(tmp_path, {"numpy": "2.0"})
