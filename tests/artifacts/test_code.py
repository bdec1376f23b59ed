"""The file of a stage's code is read as it was written, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassbox.artifacts import code, document
from glassbox.artifacts.code import Code
from glassbox.artifacts.damage import ArtifactError

DIGEST = "0123456789abcdef" * 4
CODE = Code({"src/glassbox/files.py": DIGEST}, {"numpy": "2.4.6"})


def test_what_was_written_is_read_from_its_place(tmp_path, monkeypatch):
    code.write("resize", CODE, tmp_path)
    assert (tmp_path / "data/code/resize.json").exists()
    assert code.read("resize", tmp_path) == CODE
    monkeypatch.chdir(tmp_path)
    assert code.path("cohorts.nih") == Path("data/code/cohorts.nih.json")
    assert code.read("resize") == CODE


def test_its_digest_changes_with_a_module_and_with_a_package_but_not_with_their_order():
    two = Code({"a.py": DIGEST, "b.py": DIGEST}, {"numpy": "1", "keras": "2"})
    assert two.sha256 == Code(dict(reversed(two.modules.items())), dict(reversed(two.packages.items()))).sha256
    others = [
        two._replace(modules={"a.py": DIGEST}),
        two._replace(modules={"a.py": DIGEST, "c.py": DIGEST}),
        two._replace(packages={"numpy": "1", "keras": "3"}),
        two._replace(packages={}),
    ]
    assert len({code.sha256 for code in [two, *others]}) == 5


@pytest.mark.parametrize(
    "content",
    [
        {"modules": {}},
        {"modules": {}, "packages": {}, "more": {}},
        {"modules": [], "packages": {}},
        {"modules": {}, "packages": {"numpy": 2.4}},
        {"modules": {"a.py": "abc"}, "packages": {}},
        {"modules": {"a.py": DIGEST.upper()}, "packages": {}},
    ],
)
def test_another_content_is_refused_although_its_digest_is_right(tmp_path, content):
    document.write(tmp_path / "data/code/resize.json", content, "code")
    with pytest.raises(ArtifactError, match=r"resize\.json is of another version: [\s\S]*dvc repro --force code"):
        code.read("resize", tmp_path)
