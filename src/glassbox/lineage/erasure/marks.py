"""What gives away patients: their ids, and those, hashes and pieces of their images."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from glassbox.lineage.erasure.windows import Windows
from glassbox.params.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What a column, a key or a tag with patients' ids is called: `patient_id`, `Patient ID`. `patients` counts them.
_PATIENT = re.compile(r"patient([ _-]?ids?)?", re.IGNORECASE)
#: Where params.yaml, and dvc.lock after it, has who is withdrawn from a source.
_WITHDRAWN = "withdrawn"
#: Ids of images stand alone: not inside of longer names, but for what a desktop puts before one (`._x.png`).
_BEFORE, _AFTER = r"(?:(?<=\._)|(?<![A-Za-z0-9_-]))", r"(?![A-Za-z0-9_-])"
#: What text has that a name has not.
_PROSE = re.compile(r"[\s\"',;:<>|=(){}\[\]]")


class Marks(Frozen):
    """Patients of a source, and what gives them away."""

    source: str
    patients: tuple[str, ...]
    #: `image_id` of each of their images, of any revision on record.
    images: tuple[str, ...] = ()
    #: SHA-256 of image files, and of the stored pixels of each dataset.
    hashes: tuple[str, ...] = ()
    #: SHA-256 of image files that others have, too: these stay where they are, and are looked for nowhere.
    shared: tuple[str, ...] = ()
    #: CRC-32 and size of image files, by which the directory of a zip knows them.
    sums: tuple[tuple[int, int], ...] = ()
    #: Pieces of 64 bytes, in hexadecimal: of image files, of these as they lie compressed, of stored pixels.
    pieces: tuple[str, ...] = ()

    @cached_property
    def windows(self) -> Windows:
        """The pieces, and the hashes as text, which have as many bytes."""
        return Windows([*map(bytes.fromhex, self.pieces), *(text.encode() for text in self.hashes)])

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset({*self.images, *self.hashes})

    @cached_property
    def _in_text(self) -> re.Pattern[str]:
        return re.compile(_alone(self._names))

    @cached_property
    def in_bytes(self) -> re.Pattern[bytes]:
        """What finds an image's id in bytes of any kind."""
        return re.compile(_alone(self.images).encode())

    def name(self, text: str) -> bool:
        """Whether a text, a name or prose, has the id of an image, or a hash."""
        plain = text.replace("/._", "/")  # what a desktop left behind beside an image
        if plain in self._names or any(plain[at.end() :] in self._names for at in re.finditer("/", plain)):
            return True
        return bool(self._names) and bool(_PROSE.search(text)) and bool(self._in_text.search(text))

    def about(self, key: str) -> bool:
        """Whether a column, a key or a tag is about patients of the source, as far as its name says."""
        section, _, source = key.partition(".")
        return bool(_PATIENT.fullmatch(key)) or (section == _WITHDRAWN and source in ("", self.source))

    def is_patient(self, value: object) -> bool:
        """Whether a value that is about patients is one of them; NIH's tables may write `00005` for `5`."""
        text = str(value).strip()
        return text in self.patients or (text.lstrip("0") or "0") in self.patients


def _alone(names: Iterable[str]) -> str:
    every = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return f"{_BEFORE}(?:{every}){_AFTER}" if every else r"(?!)"
