"""Changes to a recorded project, one at a time and undone again, of everything that an audit covers."""

import contextlib
import hashlib
import json
import sqlite3
import uuid
from pathlib import Path
from typing import NamedTuple

import recorded
import yaml
from revalued import HEXADECIMAL, change, flipped, leaves, other, revalued

#: How the tags of a run begin that an audit covers.
_COVERED = (
    *("data.", "code.", "machine.", "glassbox.experiment", "glassbox.fingerprint", "glassbox.model_sha256"),
    *("glassbox.files", "glassbox.dvc_model_md5"),
)


class Tampered(NamedTuple):
    """What was done, and what has to be named for it: one of these."""

    what: str
    places: tuple[str, ...]


class File(NamedTuple):
    """A file of the workspace that a stage wrote, with what dvc.lock lists for it: itself, or its folder."""

    path: str
    out: str
    stage: str
    md5: str

    @property
    def object(self):
        """Where its copy lies in the cache, if it has one."""
        return _object(self.md5)


class Forger:
    """Changes a project that lies in the current folder; when the block ends, all is as it was.

    Args:
        random: Decides of everything.
    """

    def __init__(self, random):
        self.random = random
        self.stages = recorded.lock()
        self.files = files(self.stages)
        self._undo = contextlib.ExitStack()
        self._aside = Path("../aside").absolute()
        self._aside.mkdir(exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._undo.close()

    # --- what stages wrote ---------------------------------------------------------------------------------

    def byte_in_the_workspace(self):
        at = self.random.choice(self.files)
        self._change(at.path, "a byte")
        return Tampered("a byte", (at.path,))

    def value_in_the_workspace(self):
        at = self.random.choice(self.files)
        self._change(at.path, "a value")
        return Tampered("a value", (at.path,))

    def byte_behind_a_hard_link(self):
        at = self.random.choice([at for at in self.files if Path(at.path).stat().st_nlink > 1])
        path = Path(at.path).absolute()
        before, mode = path.read_bytes(), path.stat().st_mode

        def write(content):
            path.chmod(0o644)
            path.write_bytes(content)
            path.chmod(mode)

        self._undo.callback(write, before)
        write(flipped(self.random, before))
        return Tampered("a byte of the file, which is its copy in the cache, too", (at.path,))

    def file_more(self):
        at = self.random.choice([at for at in self.files if at.path != at.out])
        path = f"{at.out}/{uuid.UUID(int=self.random.getrandbits(128))}"
        self._replace(path, b"more")
        return Tampered("a file more", (path,))

    def two_files_swapped(self):
        one = self.random.choice(self.files)
        others = [at for at in self.files if at.md5 != one.md5]
        alike = [at for at in others if Path(at.path).suffix == Path(one.path).suffix]
        another = self.random.choice(alike or others)
        self._swap(one.path, another.path)
        return Tampered(f"{one.path} and {another.path} swapped", (one.path, another.path))

    # --- the cache -----------------------------------------------------------------------------------------

    def file_in_the_cache(self):
        return self._in_the_cache(lambda at: at.path == at.out)

    def member_in_the_cache(self):
        return self._in_the_cache(lambda at: at.path != at.out)

    def list_in_the_cache(self):
        outs = [out for entry in self.stages.values() for out in entry["outs"] if "nfiles" in out]
        out = self.random.choice(outs)
        self._change(_object(out["md5"]))
        return Tampered("the list of a folder in the cache", (out["path"],))

    def two_objects_swapped(self):
        one = self.random.choice([at for at in self.files if at.object.is_file()])
        another = self.random.choice([at for at in self.files if at.object.is_file() and at.md5 != one.md5])
        self._swap(one.object, another.object)
        return Tampered(f"{one.path} and {another.path} swapped in the cache", (one.path, another.path))

    # --- what DVC and git hold -----------------------------------------------------------------------------

    def value_in_the_lock(self):
        lock = _lock()
        stage = self.random.choice(list(self.stages))
        entry = lock["stages"][stage]
        # Of what says only how the others are to be read, one is as good as all.
        ways = [way for way in leaves(entry) if way[-1] != "hash" or way[:2] == ("outs", 0)]
        before = json.loads(json.dumps(entry))
        part, *at = change(self.random, entry, ways, HEXADECIMAL)
        self._replace("dvc.lock", yaml.safe_dump(lock, sort_keys=False).encode())
        place = {"cmd": lambda: stage, "params": lambda: at[1]}.get(part, lambda: before[part][at[0]]["path"])()
        return Tampered(f"dvc.lock, {stage}, {part} {at}", (place, f"stages.{stage}"))

    def entry_of_the_lock(self):
        lock = _lock()
        stage = self.random.choice(list(self.stages))
        entry = lock["stages"][stage]
        part = self.random.choice(["stage", *(name for name in ("deps", "outs", "params") if entry.get(name))])
        if part == "stage":
            gone = stage
            del lock["stages"][stage]
        elif part == "params":
            gone = self.random.choice(list(entry["params"]["params.yaml"]))
            del entry["params"]["params.yaml"][gone]
        else:
            gone = entry[part].pop(self.random.randrange(len(entry[part])))["path"]
        self._replace("dvc.lock", yaml.safe_dump(lock, sort_keys=False).encode())
        return Tampered(f"dvc.lock, {stage}, without {part} {gone}", (gone, stage))

    def byte_in_agreement(self):
        return self._in_agreement(lambda at: flipped(self.random, Path(at.path).read_bytes()))

    def value_in_agreement(self):
        return self._in_agreement(lambda at: revalued(self.random, Path(at.path).read_bytes(), at.path))

    def value_of_the_parameters(self):
        return self._in_yaml("params.yaml")

    def value_of_the_pipeline(self):
        return self._in_yaml("dvc.yaml")

    def byte_of_the_code(self):
        every = [*Path("src/glassbox").rglob("*.py"), *Path("stages").glob("*.py")]
        path = self.random.choice([*sorted(path for path in every if path.stat().st_size), *[Path("uv.lock")] * 8])
        self._change(path, "a byte")
        return Tampered("a byte of the code", (path.as_posix(),))

    # --- MLflow --------------------------------------------------------------------------------------------

    def tag_of_the_run(self):
        rows = [row for row in _rows("tags", "key") if row[0].startswith(_COVERED)]
        return self._in_the_store("tag", rows, "tags", "value")

    def parameter_of_the_run(self):
        return self._in_the_store("parameter", _rows("params", "key"), "params", "value")

    def number_of_the_run(self):
        rows = _rows("metrics", "key", "WHERE is_nan = 0")
        # The second table has the last value of each.
        return self._in_the_store("metric", rows, "metrics", "value", "latest_metrics")

    def fold_of_the_run(self):
        return self._in_the_store("dataset", _rows("datasets", "name"), "datasets", "digest")

    def file_of_the_run(self):
        held = sorted(path for path in Path("mlartifacts").glob("*/artifacts/**/*") if path.is_file())
        path = self.random.choice(held)
        return self._in_mlflow(path, path.name)

    def model_of_the_run(self):
        (path,) = Path("mlartifacts/models").glob("*/artifacts/data/model.keras")
        return self._in_mlflow(path, "MLflow's model")

    # --- how it is done ------------------------------------------------------------------------------------

    def _in_the_cache(self, is_meant):
        at = self.random.choice([at for at in self.files if is_meant(at) and at.object.is_file()])
        self._change(at.object, name=at.path)
        return Tampered("an object of the cache", (at.path,))

    def _in_agreement(self, changed):
        at = self.random.choice(self.files)
        agree(at, changed(at), self._replace)
        return Tampered(f"{at.path}, the cache and dvc.lock", (at.path, at.out, at.stage))

    def _in_yaml(self, path):
        content = yaml.safe_load(Path(path).read_text())
        way = change(self.random, content, list(leaves(content)))
        self._replace(path, yaml.safe_dump(content, sort_keys=False).encode())
        return Tampered(f"{path}, {way}", (path,))

    def _in_mlflow(self, path, place):
        if self.random.random() < 0.2:
            self._remove(path)
        else:
            self._change(path)
        return Tampered(f"{path}", (place,))

    def _in_the_store(self, what, rows, table, column, *copies):
        """Changes a value of a run, in a table of the store and in others that repeat it."""
        key, name = self.random.choice(rows), {"datasets": "name"}.get(table, "key")
        path = Path("mlflow.db").absolute()
        ((before,), *_) = _rows(table, column, f"WHERE {name} = ?", *key)
        after = other(self.random, before)
        for each in (table, *copies):
            was = _rows(each, f"rowid, {column}", f"WHERE {name} = ?", *key)
            _update(path, each, column, [(row, after) for row, _ in was])
            self._undo.callback(_update, path, each, column, was)
        return Tampered(f"{what} {key[0]}", key)

    def _change(self, path, how="", name=None):
        """Changes a byte of a file, or a value in it."""
        path = Path(path)
        is_byte = how == "a byte" or (not how and self.random.random() < 0.5)
        before = path.read_bytes()
        self._replace(
            path, flipped(self.random, before) if is_byte else revalued(self.random, before, name or path.name)
        )

    def _swap(self, one, another):
        contents = [Path(path).read_bytes() for path in (another, one)]
        for path, content in zip((one, another), contents, strict=True):
            self._replace(path, content)

    def _remove(self, path):
        """Moves a file aside, with its links, its mode and its dates."""
        path, aside = Path(path).absolute(), self._aside / uuid.uuid4().hex
        path.rename(aside)
        self._undo.callback(aside.replace, path)

    def _replace(self, path, content):
        """Puts other content at a place; the file that lay there keeps its links."""
        path = Path(path).absolute()
        if path.exists():
            self._remove(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._undo.callback(path.unlink)
        path.write_bytes(content)


#: Every way to tamper, by its name.
KINDS = tuple(name for name in vars(Forger) if not name.startswith("_"))


def files(stages):
    """Every file that some stages of dvc.lock wrote, but for empty ones."""
    found = []
    for stage, entry in stages.items():
        for out in entry["outs"]:
            members = {"": out["md5"]}
            if "nfiles" in out:
                members = {
                    f"/{one['relpath']}": one["md5"] for one in json.loads(_object(out["md5"]).read_bytes())
                }
            found += [File(out["path"] + name, out["path"], stage, md5) for name, md5 in members.items()]
    return [at for at in found if Path(at.path).stat().st_size]


def agree(at, content, replace):
    """Changes a file, its objects in the cache and, everywhere in dvc.lock, its MD5 and size.

    Args:
        at: The file.
        content: Its new one.
        replace: How a file is written.
    """
    lock = _lock()
    out = next(out for out in lock["stages"][at.stage]["outs"] if out["path"] == at.out)
    known = {at.path: {"md5": _md5(content), "size": len(content)}}
    if at.out != at.path:
        listed = json.loads(_object(out["md5"]).read_bytes())
        for one in listed:
            one["md5"] = _md5(content) if f"{at.out}/{one['relpath']}" == at.path else one["md5"]
        text = json.dumps(listed, sort_keys=True).encode()
        size = out["size"] + len(content) - Path(at.path).stat().st_size
        known[at.out] = {"md5": f"{_md5(text)}.dir", "size": size}
        replace(_object(known[at.out]["md5"]), text)
    if at.object.is_file():
        replace(_object(_md5(content)), content)
    replace(at.path, content)
    for entry in lock["stages"].values():
        for one in (*entry.get("deps", ()), *entry["outs"]):
            one.update(known.get(one["path"], {}))
    replace("dvc.lock", yaml.safe_dump(lock, sort_keys=False).encode())


def _lock():
    return yaml.load(Path("dvc.lock").read_bytes(), yaml.CSafeLoader)


def _object(md5):
    return Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]


def _md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _rows(table, columns, where="", *values):
    with contextlib.closing(sqlite3.connect("mlflow.db")) as store:
        return sorted(set(store.execute(f"SELECT {columns} FROM {table} {where}", values)))  # noqa: S608


def _update(path, table, column, rows):
    with contextlib.closing(sqlite3.connect(path)) as store, store:
        for row, value in rows:
            store.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))  # noqa: S608
