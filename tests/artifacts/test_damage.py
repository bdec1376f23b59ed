"""Whatever happens to a file between two stages, the second one refuses it, or reads what the first one wrote."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import every_artifact
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from every_artifact import Artifact

from glassbox.artifacts import document, shards, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.phantoms.png import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).resolve().parents[2]


class Project:
    """A folder with two of every artifact, in which one file at a time may be damaged."""

    def __init__(self) -> None:
        self.artifacts = every_artifact.write()
        self.bytes = {artifact.path: artifact.path.read_bytes() for artifact in self.artifacts}
        self.said = {artifact.path: repr(artifact.read()) for artifact in self.artifacts}
        self.of = {artifact.path: artifact for artifact in self.artifacts}

    def restore(self, path: Path) -> None:
        """Puts a file back as it was written."""
        path.write_bytes(self.bytes[path])

    def alike(self, artifact: Artifact) -> list[Path]:
        """All other files of an artifact's format."""
        return [path for path in self.bytes if path.suffix == artifact.path.suffix and path != artifact.path]

    def verdict(self, artifact: Artifact) -> str:
        """`refused` or `unchanged`; or what is wrong with how a damage was met."""
        try:
            found = artifact.read()
        except ArtifactError as error:
            said = str(error)
            for part in (str(artifact.path), f"`dvc repro --force {artifact.stage}`"):
                if part not in said:
                    return f"the refusal does not name {part}: {said}"
            return "refused" if len(said) < 1000 else f"the refusal has {len(said)} characters"
        except Exception as error:  # noqa: BLE001 (whatever it is, a user would see its traceback)
            return f"{type(error).__name__}: {error}"
        if artifact.path.parent == Path("metrics/sources") and found == {}:
            return "refused"  # taken for none, and the archive verified as a new one
        return "unchanged" if repr(found) == self.said[artifact.path] else "read as another one"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Project]:
    folder = tmp_path_factory.mktemp("artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, Project()


@pytest.fixture
def project(written: tuple[Path, Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(written[0])
    return written[1]


# --- what can happen to a file -----------------------------------------------------------------------------


def _flip(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(1, len(content))]


def _zeros(content: bytes, draw: random.Random) -> bytes:
    at, length = draw.randrange(len(content)), draw.randrange(1, 65)
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def _other(value: object) -> object:
    """Another value of the same kind, where there is one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1
    if isinstance(value, float):
        return value / 2 + 0.1
    if isinstance(value, list):
        return value[1:]
    return value + "0" if isinstance(value, str) else value


def _json(content: bytes, draw: random.Random) -> bytes:
    places, found = [], json.loads(content)

    def look(block: dict | list) -> None:
        for key, value in block.items() if isinstance(block, dict) else enumerate(block):
            places.append((block, key))
            if isinstance(value, dict | list):
                look(value)

    look(found)
    block, key = draw.choice(places)
    block[key] = None if draw.random() < 0.2 else _other(block[key])
    return json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n"


def _parquet(content: bytes, draw: random.Random) -> bytes:
    """Another value, the footer's metadata and the digest among them left as they were."""
    found, out = pq.read_table(pa.BufferReader(content)), pa.BufferOutputStream()
    rows = found.to_pylist()
    row, column = draw.randrange(len(rows)), draw.choice(found.column_names)
    rows[row][column] = _other(rows[row][column])
    pq.write_table(pa.Table.from_pylist(rows, found.schema), out)
    return out.getvalue().to_pybytes()


def _csv(content: bytes, draw: random.Random) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = draw.choice(rows)
    row[draw.randrange(len(row))] += "1"
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _hdf5(content: bytes, draw: random.Random) -> bytes:
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        values = file[draw.choice(sorted(file))]
        at = tuple(draw.randrange(length) for length in values.shape)
        values[at] = 255 - values[at]
    return stream.getvalue()


def _keras(content: bytes, draw: random.Random) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.infolist():
            new.writestr(member, _flip(old.read(member), draw))
    return stream.getvalue()


def _png(content: bytes, draw: random.Random) -> bytes:
    return encode(np.full((4, 4), draw.randrange(256), np.uint8))


_VALUES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
    ".h5": _hdf5,
    ".keras": _keras,
    ".png": _png,
}


def _forge(project: Project, artifact: Artifact, draw: random.Random) -> None:
    """Changes the SHA-256 by which a whole record says what a file is."""
    path, known = artifact.record
    said = known[:-1] + draw.choice("0123456789abcdef".replace(known[-1], ""))
    stage = project.of[path].stage
    if path.suffix == ".json":
        document.write(path, json.loads(json.dumps(document.read(path, stage)).replace(known, said)), stage)
    else:
        rows, facts = table.read(path, stage)
        changed = json.loads(json.dumps(rows.to_pylist()).replace(known, said))
        table.write(path, pa.Table.from_pylist(changed, rows.schema), stage, facts)


#: What befalls a file: name -> what it leaves of its bytes.
_DAMAGES: dict[str, Callable[[Project, Artifact, random.Random], bytes]] = {
    "a flipped bit": lambda project, artifact, draw: _flip(project.bytes[artifact.path], draw),
    "a cut": lambda project, artifact, draw: _cut(project.bytes[artifact.path], draw),
    "zeros": lambda project, artifact, draw: _zeros(project.bytes[artifact.path], draw),
    "an empty file": lambda *_: b"",
    "another value": lambda project, artifact, draw: _VALUES[artifact.path.suffix](
        project.bytes[artifact.path], draw
    ),
    "another file": lambda project, artifact, draw: project.bytes[draw.choice(project.alike(artifact))],
}


def _campaign(project: Project, count: int) -> Iterator[tuple[Artifact, str, str]]:
    """So many damages, drawn from a seed: the artifact, what befell it, and how that was met."""
    for number in range(count):
        draw = random.Random(number)  # noqa: S311
        artifact = draw.choice(project.artifacts)
        what = draw.choice([*_DAMAGES, "no file", *(["another record"] if artifact.record else [])])
        touched = artifact.path
        if what == "no file":
            artifact.path.unlink()
        elif what == "another record":
            touched, _ = artifact.record
            _forge(project, artifact, draw)
        else:
            damaged = project.bytes[artifact.path]
            while damaged == project.bytes[artifact.path]:  # zeros over zeros
                damaged = _DAMAGES[what](project, artifact, draw)
            artifact.path.write_bytes(damaged)
        yield artifact, f"{number}: {what}", project.verdict(artifact)
        project.restore(touched)


# --- what the readers make of it ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.long)])
def test_a_damaged_file_is_refused_by_its_name_or_read_as_it_was_written(count, project):
    outcomes = list(_campaign(project, count))
    wrong = [(what, artifact.path, met) for artifact, what, met in outcomes if met not in ("refused", "unchanged")]
    assert not wrong
    harmless = Counter(
        (artifact.path.suffix, what.partition(": ")[2]) for artifact, what, met in outcomes if met == "unchanged"
    )
    print(f"{count} damages, of which nothing came: {dict(harmless)}")
    # What HDF5 leaves unused in its header, and the line end of a JSON file.
    assert {suffix for suffix, _ in harmless} <= {".h5", ".json"}
    assert {what for suffix, what in harmless if suffix == ".json"} <= {"a cut"}


def test_no_whole_file_passes_for_one_beside_it_or_for_that_of_another_key(project):
    passed = []
    for artifact in project.artifacts:
        for path in project.alike(artifact):
            if path.parent.parent != artifact.path.parent.parent:
                continue  # the campaign puts any file into the place of any other
            artifact.path.write_bytes(project.bytes[path])
            if (met := project.verdict(artifact)) != "refused":
                passed.append((artifact.path, path, met))
        project.restore(artifact.path)
    assert not passed


def test_every_file_that_a_stage_depends_on_is_among_them(project):
    stages = yaml.safe_load((_ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    depended_on = {path for stage in stages.values() for path in stage.get("do", stage)["deps"]}
    # What no stage makes; an archive, whose members are compared with their digests when they are read; a choice,
    # and the figures of all experiments, which are here by the names that follow.
    elsewhere = {"src/glassbox", "stages", "uv.lock", "data/archives/${key}.zip", "${item.choice.file}"}
    elsewhere |= {"data/archives/${item.source}.zip", "conf/withdrawn"}
    for path in depended_on - elsewhere:
        pattern = re.sub(r"\\\$\\{[^}]*\\}", "[^/]+", re.escape(path))
        if not path.startswith("data/code/"):
            assert any(re.match(f"{pattern}(/|$)", there.as_posix()) for there in project.bytes), path
    assert {path.suffix for path in project.bytes} == set(_VALUES)


def test_a_refusal_is_short_whatever_the_file_says(project):
    artifact = next(artifact for artifact in project.artifacts if artifact.path.name == "leakage.json")
    for said in ["x" * 10_000, ["y\n"] * 5_000, {"z": "\ud800"}]:
        artifact.path.write_text(json.dumps({"shared_by_folds": [], "content_sha256": said}))
        assert project.verdict(artifact) == "refused"
    artifact.path.write_text('{"content_sha256": "", "deep": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert project.verdict(artifact) == "refused"
    project.restore(artifact.path)


def test_a_shard_that_breaks_off_is_refused_when_it_is_opened(project):
    shard = next(artifact.path for artifact in project.artifacts if artifact.path.name == "part-00001.h5")
    whole = project.bytes[shard]
    for length in (len(whole) - 1, len(whole) - 64, len(whole) - 320, 2048, 2047, 800, 96, 8, 0):
        shard.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="part-00001"):
            shards.Images(shard.parent.name)
    project.restore(shard)


_OPENED = """
import random, sys
from pathlib import Path
from glassbox.artifacts import shards
from glassbox.artifacts.damage import ArtifactError
path, whole, refused = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes(), 0
for number in range(4000):
    draw, damaged = random.Random(number), bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 8])):
        damaged[draw.randrange(len(whole) - 320)] ^= 1 << draw.randrange(8)
    path.write_bytes(damaged)
    try:
        shards.mapped(path, 5, 8, "one").tobytes()
    except ArtifactError:
        refused += 1
    path.unlink()
print(refused)
"""


@pytest.mark.long
def test_no_damage_of_a_shards_header_ends_the_process(project, tmp_path):
    shard = next(artifact.path for artifact in project.artifacts if artifact.path.suffix == ".h5")
    (tmp_path / "shard.h5").write_bytes(project.bytes[shard])
    done = subprocess.run([sys.executable, "-c", _OPENED, tmp_path / "shard.h5"], capture_output=True, check=True)
    assert int(done.stdout) > 100
