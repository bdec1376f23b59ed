"""The tables of an archive without some rows, every other byte as it was."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from collections.abc import Set as AbstractSet

#: Names of the members that are read as text.
TEXT = (".csv", ".tsv", ".txt")
_DELIMITERS = ",;\t|"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
#: What stands between names in a line.
_BETWEEN = re.compile(r"""[\s,;|"']+""")


def without(
    content: bytes, name: str, images: AbstractSet[str], patients: Collection[str], columns: Collection[str]
) -> bytes:
    """A table without the rows that name some images, or whose column of patients has one of some patients.

    A row names an image if one of its cells does, or one of the words in it.

    Args:
        content: The table, as it lies in the archive.
        name: Of the member: in a `.txt` a row is a line, elsewhere a record of CSV, which may take several.
        images: Ids, and whatever else names them.
        patients: Ids of patients; numbers are the same with and without zeros before them.
        columns: Names of the columns that have patients.
    """
    text = content.decode("utf-8", "surrogateescape")
    rows = list(_rows(text, csv_records=not name.lower().endswith(".txt")))
    header = [cell.strip().removeprefix("\ufeff") for cell in rows[0][1]] if rows else []
    at = [place for place, column in enumerate(header) if column in columns]
    theirs = {_number(patient) for patient in patients}
    kept = []
    for row, (raw, cells) in enumerate(rows):
        of_them = row and any(_number(cells[place]) in theirs for place in at if place < len(cells))
        if not of_them and images.isdisjoint(cells) and images.isdisjoint(_BETWEEN.split(raw)):
            kept.append(raw)
    return "".join(kept).encode("utf-8", "surrogateescape")


def _rows(text: str, *, csv_records: bool) -> Iterator[tuple[str, list[str]]]:
    """Each row as it stands there, with its line end, and its cells."""
    lines = _LINE.findall(text)
    delimiter = max(_DELIMITERS, key=lines[0].count) if lines else ","
    if csv_records:
        try:
            ends, cells = [0], []
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            for row in reader:
                ends.append(reader.line_num)
                cells.append(row)
        except csv.Error:  # a quote that is never closed, for one: then lines are all there is
            pass
        else:
            for start, end, row in zip(ends, ends[1:], cells, strict=False):
                yield "".join(lines[start:end]), row
            return
    for line in lines:
        yield line, [cell.strip() for cell in line.split(delimiter)]


def _number(patient: str) -> str | float:
    """A patient's id as it is compared: the number that it is, or its text."""
    try:
        return float(patient)
    except ValueError:
        return patient.strip()
