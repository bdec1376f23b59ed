"""A file with one thing in it changed: a byte, or a value with every digest around it made right again."""

import contextlib
import json
import shutil
import string
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from glassbox.artifacts import document, table

#: Signs that take another's place.
HEXADECIMAL = "0123456789abcdef"
_WORDS = string.ascii_lowercase + string.digits
_TYPED = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating)


def leaves(value, way=()):
    """The ways to all values that hold no others, each as keys and positions."""
    if not value or not isinstance(value, (dict, list)):
        yield way
    else:
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inside, (*way, key))


def change(random, value, ways, signs=_WORDS):
    """Changes a value at one of some ways; the way."""
    way = random.choice(ways)
    for key in way[:-1]:
        value = value[key]
    value[way[-1]] = other(random, value[way[-1]], signs)
    return way


def other(random, value, signs=_WORDS):
    """Another value of the same type; of a text one letter or digit."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value < 127 else value - 1
    if isinstance(value, float):
        return value + 0.125
    if not isinstance(value, str):
        return 1 if value is None else "x"
    if not value:
        return "x"
    place = random.choice([place for place, sign in enumerate(value) if sign.isalnum()] or [0])
    sign = random.choice([sign for sign in signs if sign != value[place]])
    return value[:place] + sign + value[place + 1 :]


def flipped(random, content):
    """Bytes of which one is another."""
    changed = bytearray(content)
    changed[random.randrange(len(changed))] ^= random.randrange(1, 256)
    return bytes(changed)


def revalued(random, content, name):
    """A file of a stage with another value in it; with another byte, where nobody knows its values.

    Args:
        random: Decides which.
        content: Of the file.
        name: Its name or path, by which it is known what it holds.
    """
    kinds = {".json": _json, ".dir": _json, ".parquet": _table, ".csv": _csv, ".keras": _keras}
    return kinds.get(Path(name).suffix, lambda *_: flipped(random, content))(random, content, Path(name).name)


def _json(random, content, name):
    value = json.loads(content)
    change(random, value, [way for way in leaves(value) if way[-1] not in ("artifact", "content_sha256")])
    if "content_sha256" not in value:
        return json.dumps(value, indent=2).encode()
    del value["content_sha256"]
    stage, name = value.pop("artifact").split()
    with _folder() as folder:
        document.write(folder / name, value, stage)
        return (folder / name).read_bytes()


def _table(random, content, name):
    with _folder() as folder:
        path = folder / name
        path.write_bytes(content)
        described = pq.ParquetFile(path).metadata
        stage, path = described.metadata[b"artifact"].decode().split()
        path = (folder / name).replace(folder / path)
        rows, facts = table.read(path, stage)
        if facts and (not rows.num_rows or random.random() < 0.2):
            change(random, facts, list(leaves(facts)))
        elif rows.num_rows:
            rows = _cell(random, rows)
        else:
            return flipped(random, content)
        table.write(path, rows, stage, facts, described.row_group(0).column(0).compression.lower())
        return path.read_bytes()


def _cell(random, rows):
    """A table with another value in one cell."""
    names = [field.name for field in rows.schema if any(is_it(field.type) for is_it in _TYPED)]
    values = {name: rows[name].to_pylist() for name in names}
    cells = [(name, row) for name in names for row, value in enumerate(values[name]) if value is not None]
    name, row = random.choice(cells)
    values[name][row] = other(random, values[name][row])
    column = rows.schema.get_field_index(name)
    field = rows.schema.field(column)
    return rows.set_column(column, field, pa.array(values[name], field.type))


def _csv(random, content, _):
    text = content.decode()
    places = [place for place, sign in enumerate(text) if sign in string.digits]
    if not places:
        return flipped(random, content)
    place = random.choice(places)
    return (text[:place] + other(random, text[place], string.digits) + text[place + 1 :]).encode()


def _keras(random, content, _):
    """A model with another value in its configuration, every sum of the zip right."""
    with _folder() as folder:
        (folder / "before").write_bytes(content)
        with zipfile.ZipFile(folder / "before") as before, zipfile.ZipFile(folder / "after", "w") as after:
            for member in before.infolist():
                held = before.read(member)
                if member.filename == "config.json":
                    value = json.loads(held)
                    change(random, value, list(leaves(value)))
                    held = json.dumps(value).encode()
                after.writestr(member, held)
        return (folder / "after").read_bytes()


@contextlib.contextmanager
def _folder():
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
