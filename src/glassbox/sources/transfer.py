"""A file fetched over HTTP into a part that goes on where it ended: after a cut, in a later run, after a kill."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Protocol

import urllib3
from tqdm import tqdm

from glassbox.files import write_json
from glassbox.sources.errors import ArchiveError
from glassbox.sources.patience import Interruption, Patience, patiently

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import requests

_BLOCK = 1024 * 1024


class TransferError(ArchiveError):
    """The bytes that come cannot be kept."""


class RangeRefused(Interruption):
    """The host has nothing after the bytes that are there (416); `size` is that of the file, where it says so."""

    def __init__(self, size: int | None) -> None:
        super().__init__("the host has nothing after the bytes that are there")
        self.size = size


class Connect(Protocol):
    """Asks for the file."""

    def __call__(self, headers: Mapping[str, str]) -> requests.Response:
        """Opens it, by an address of its own each time, as signed ones expire.

        Raises:
            Interruption: Not now.
            ArchiveError: Not ever.
        """
        ...


@dataclass(frozen=True)
class Promise:
    """What a host says of the file that it sends.

    Attributes:
        validator: Its strong ETag or else its date: what If-Range takes. Without one nothing can be resumed.
        size: In bytes.
        md5: In hexadecimal.
    """

    validator: str | None
    size: int | None
    md5: str | None


class Part:
    """What is there of a file, and beside it what it is a part of. Neither holds an address.

    Attributes:
        path: The bytes.
        promise: What the host said when they began; None where there are none that can be gone on with.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "archive.zip.part"
        self._state = folder / "archive.zip.part.json"
        try:
            self.promise: Promise | None = Promise(**json.loads(self._state.read_bytes()))
        except (OSError, ValueError, TypeError):
            # Bytes of which nothing is known cannot be gone on with.
            self.drop()

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def whole(self) -> bool:
        """Whether all bytes are there; whether they are the right ones is another question."""
        return self.promise is not None and self.path.is_file() and self.size == self.promise.size

    def begin(self, promise: Promise) -> None:
        """Starts over with what the host promises now."""
        self.drop()
        write_json(self._state, asdict(promise))
        self.path.touch()
        self.promise = promise

    def end(self) -> None:
        """Takes what is there for the whole file, of a host that did not say its size or said a wrong one."""
        if self.promise is not None:
            self.promise = replace(self.promise, size=self.size)
            write_json(self._state, asdict(self.promise))

    def drop(self) -> None:
        """Removes the bytes, then what is said of them: the other way round a kill would leave them nameless."""
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.promise = None


def fetch(connect: Connect, part: Part, what: str, patience: Patience) -> None:
    """Makes a part whole.

    Args:
        connect: See `Connect`.
        part: What is there so far.
        what: What it is, for the messages and the progress bar.
        patience: When to give up.

    Raises:
        TransferError: There is no room for it, or it cannot be written.
        GaveUpError: See `patiently`.
    """
    if not part.whole:
        patiently(lambda: _attempt(connect, part, what), what, patience, lambda: part.size)


def _attempt(connect: Connect, part: Part, what: str) -> None:
    """One request, for what is missing."""
    have = part.size if part.promise and part.promise.validator else 0
    headers = {"Accept-Encoding": "identity"}
    if have and part.promise:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(part.promise.validator)}
    try:
        response = connect(headers)
    except RangeRefused as refused:
        if have and refused.size == have:
            part.end()
            return
        part.drop()
        raise Interruption("the file on the host is shorter than what is there, which was removed") from None
    with response:
        if have and response.status_code == 206:
            _same(response, part)
            _room(part, _lacking(part), what)
        else:
            _start_over(response, part, what)
        _receive(response, part, what)
    promised = part.promise.size if part.promise else None
    if promised is None:
        part.end()
    elif part.size > promised:
        part.drop()
        raise Interruption("the host sent more than it promised, which was removed")
    elif part.size < promised:
        raise Interruption("the connection was cut")


def _same(response: requests.Response, part: Part) -> None:
    """Refuses to append what is no continuation of the part."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != part.size:
        raise Interruption("the host sent another part of the file than asked for")
    known, now = part.promise, _promise(response, None if found[2] == "*" else int(found[2]))
    # What it does not say again it has said before; an ETag says nothing of a date.
    pairs = [(known.size, now.size), (known.md5, now.md5)] if known else []
    if known and known.validator and now.validator and (known.validator[0] == '"') == (now.validator[0] == '"'):
        pairs.append((known.validator, now.validator))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        part.drop()
        raise Interruption("the file changed on the host; what was there of it was removed")


def _start_over(response: requests.Response, part: Part, what: str) -> None:
    part.path.parent.mkdir(parents=True, exist_ok=True)
    length = response.headers.get("Content-Length", "")
    promise = _promise(response, int(length) if length.isdecimal() else None)
    if had := part.size:
        why = "the host does not resume" if promise == part.promise else "the file changed on the host"
        print(f"{what}: {why}; starting over, {had:,} bytes are fetched again", file=sys.stderr, flush=True)
    if promise.size is not None:
        # The part that is removed makes room.
        _room(part, promise.size - had, what)
    part.begin(promise)


def _promise(response: requests.Response, size: int | None) -> Promise:
    headers = response.headers
    etag = headers.get("ETag")
    # If-Range takes no weak one.
    validator = headers.get("Last-Modified") if etag is None or etag.startswith("W/") else etag
    md5 = re.search(r"(?:^|[ ,])md5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    return Promise(validator, size, base64.b64decode(md5[1]).hex() if md5 else None)


def _lacking(part: Part) -> int:
    """How many bytes are to come, as far as that is known."""
    return (part.promise.size or 0) - part.size if part.promise else 0


def _room(part: Part, needed: int, what: str) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise TransferError(
            f"{what}: {free:,} bytes are free where {part.path.parent} lies",
            f"room for the {needed:,} bytes that are to come",
            f"free {needed - free:,} bytes and run `dvc repro` again; {part.size:,} bytes are there and are kept",
        )


def _receive(response: requests.Response, part: Part, what: str) -> None:
    """Appends what comes, each block as it comes: a kill loses nothing that was received."""
    total = part.promise.size if part.promise else None
    try:
        with (
            part.path.open("ab", buffering=0) as stream,
            tqdm(total=total, initial=part.size, desc=what, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while block := _block(response):
                rest = memoryview(block)
                while rest:
                    rest = rest[os.write(stream.fileno(), rest) :]
                bar.update(len(block))
            os.fsync(stream.fileno())
    except OSError as error:
        raise TransferError(
            f"{what}: {part.path} cannot be written: {error.strerror}",
            f"room for {_lacking(part):,} bytes more",
            f"free it and run `dvc repro` again; {part.size:,} bytes are there and are kept",
        ) from None


def _block(response: requests.Response) -> bytes:
    # What is raised is raised outside of the handlers: the context of an error would hold what the error does not.
    try:
        return response.raw.read1(_BLOCK, decode_content=False) or b""
    except urllib3.exceptions.ReadTimeoutError:
        interruption = Interruption("the host fell silent")
    except urllib3.exceptions.HTTPError:
        interruption = Interruption("the connection was cut")
    raise interruption
