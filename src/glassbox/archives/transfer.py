"""A file over HTTP into a part that goes on where it ended: after a cut, in a later run, after a kill."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import urllib3
from tqdm import tqdm

from glassbox.archives.errors import ArchiveError
from glassbox.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

    import requests

T = TypeVar("T")

#: Opens a file with the given headers, by an address of its own each time, as signed ones expire. It raises an
#: `Interruption` where that may be tried again, and an `ArchiveError` where not.
Connect = Callable[[Mapping[str, str]], "requests.Response"]

_BLOCK = 1024 * 1024
#: Seconds: the longest wait between two attempts, of which the first is 1 and each other twice the one before; and
#: the longest that a host may ask for.
_LONGEST_WAIT, _LONGEST_ASKED = 60, 900


class Interruption(Exception):  # noqa: N818 - it ends an attempt, not the work
    """An attempt came to nothing for now and may be made again, after the seconds that the host `asked` to wait.

    `what` happened never holds an address: those of a storage host are signed.
    """

    def __init__(self, what: str, asked: float | None = None) -> None:
        super().__init__(what)
        self.what, self.asked = what, asked


class RangeRefused(Interruption):
    """The host has nothing after the bytes that are there (416)."""


@dataclass(frozen=True)
class Retries:
    """How long a host is waited for; the default suits hours over an ordinary line."""

    connect: float = 20.0  #: Seconds that a connection may take to stand.
    read: float = 60.0  #: Seconds that a host may send nothing; a stalled one counts as cut.
    attempts: int = 10  #: How many in a row may bring nothing.
    sleep: Callable[[float], None] = time.sleep  #: What waits.


RETRIES = Retries()


def retrying(attempt: Callable[[], T], what: str, retries: Retries, progress: Callable[[], int] = lambda: 0) -> T:
    """Makes an attempt again and again until it ends without an `Interruption`; messages begin with `what`.

    `progress` says how many bytes there are so far. An attempt that leaves more than ever starts the count of vain
    ones anew; a host that makes every attempt start over is not waited for forever.

    Raises:
        ArchiveError: Too many attempts in a row brought nothing, or the host asks to wait too long.
    """
    best, vain = progress(), 0
    while True:
        try:
            return attempt()
        except Interruption as caught:
            interruption = caught
        reached = progress()
        vain = 0 if reached > best else vain + 1
        best = max(best, reached)
        wait = max(min(2.0 ** max(vain - 1, 0), _LONGEST_WAIT), interruption.asked or 0)
        said = f"{what}: {interruption.what}"
        if vain >= retries.attempts:
            said, expected = f"{said}, and {vain} attempts in a row brought nothing", "a host that answers"
        elif wait > _LONGEST_ASKED:
            said, expected = f"{said} and asks to wait {wait:,.0f} seconds", f"at most {_LONGEST_ASKED}"
        else:
            asked = ", as it asks" if interruption.asked else ""
            print(f"{said}; trying again in {wait:,.0f} s{asked}", file=sys.stderr, flush=True)
            retries.sleep(wait)
            continue
        onward = f"; it goes on after the {reached:,} bytes that are there" if reached else ""
        raise ArchiveError(said, expected, f"run `dvc repro` again later{onward}")


class Promise(NamedTuple):
    """What a host says of the file that it sends."""

    #: Its strong ETag or else its date: what If-Range takes. Without one nothing can be resumed.
    validator: str | None
    size: int | None  #: In bytes.
    md5: str | None  #: In hexadecimal.


class Part:
    """What is there of a file, and beside it what it is a part of. Neither holds an address.

    Attributes:
        path: The bytes.
        promise: What the host said when they began; nothing where there are none that can be gone on with.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "archive.zip.part"
        self._state = folder / "archive.zip.part.json"
        try:
            self.promise = Promise(**json.loads(self._state.read_bytes()))
        except (OSError, ValueError, TypeError):
            # Bytes of which nothing is known cannot be gone on with.
            self.drop()

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def lacking(self) -> int:
        """How many bytes are to come, as far as that is known."""
        return (self.promise.size or 0) - self.size

    def begin(self, promise: Promise) -> None:
        """Writes down what the bytes are a part of."""
        write_json(self._state, promise._asdict())
        self.promise = promise

    def drop(self) -> None:
        """Removes the bytes, then what is said of them: the other way round a kill would leave them nameless."""
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.promise = Promise(None, None, None)


def complete(connect: Connect, part: Part, what: str, retries: Retries) -> None:
    """Makes a part whole; whether its bytes are the right ones is another question.

    Raises:
        ArchiveError: There is no room for it, it cannot be written, or the host is given up.
    """
    if part.size != part.promise.size:
        retrying(lambda: _attempt(connect, part, what), what, retries, lambda: part.size)


def _attempt(connect: Connect, part: Part, what: str) -> None:
    """One request, for what is missing."""
    have = part.size if part.promise.validator else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(part.promise.validator)}
    try:
        response = connect(headers)
    except RangeRefused as refused:
        part.drop()
        raise Interruption(f"{refused.what}, which were removed") from None
    with response:
        if have and response.status_code == 206:
            _check_range(response, part)
            _check_room(part, part.lacking, what)
        else:
            _start_over(response, part, what)
        _receive(response, part, what)
    if part.promise.size is None:
        part.begin(part.promise._replace(size=part.size))
    elif part.size != part.promise.size:
        raise Interruption("the connection was cut")


def _check_range(response: requests.Response, part: Part) -> None:
    """Refuses to append what is no continuation of the part."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != part.size:
        raise Interruption("the host sent another part of the file than asked for")
    now = _promise(response, found[2])
    # What it does not say again it has said before.
    if any(None not in pair and pair[0] != pair[1] for pair in zip(part.promise, now, strict=True)):
        part.drop()
        raise Interruption("the file changed on the host; what was there of it was removed")


def _start_over(response: requests.Response, part: Part, what: str) -> None:
    """Empties the part, for what the host promises now."""
    part.path.parent.mkdir(parents=True, exist_ok=True)
    promise = _promise(response, response.headers.get("Content-Length", ""))
    if had := part.size:
        why = "the host does not resume" if promise == part.promise else "the file changed on the host"
        print(f"{what}: {why}; starting over, {had:,} bytes are fetched again", file=sys.stderr, flush=True)
    # The part that is removed makes room.
    _check_room(part, (promise.size or 0) - had, what)
    part.drop()
    part.begin(promise)


def _promise(response: requests.Response, size: str) -> Promise:
    headers = response.headers
    etag = headers.get("ETag")
    # If-Range takes no weak one.
    validator = headers.get("Last-Modified") if etag is None or etag.startswith("W/") else etag
    md5 = re.search(r"(?:^|[ ,])md5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    return Promise(
        validator, int(size) if size.isdecimal() else None, base64.b64decode(md5[1]).hex() if md5 else None
    )


def _check_room(part: Part, needed: int, what: str) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise ArchiveError(
            f"{what}: {free:,} bytes are free where {part.path.parent} lies",
            f"room for the {needed:,} bytes that are to come",
            f"free {needed - free:,} bytes and run `dvc repro` again; {part.size:,} bytes are there and are kept",
        )


def _receive(response: requests.Response, part: Part, what: str) -> None:
    """Appends what comes, each block as it comes: a kill loses nothing that was received."""
    try:
        with (
            part.path.open("ab") as file,
            tqdm.wrapattr(
                file, "write", total=part.promise.size, initial=part.size, desc=what, disable=None
            ) as stream,
        ):
            while block := response.raw.read1(_BLOCK, decode_content=False):
                stream.write(block)
                file.flush()
            os.fsync(file.fileno())
    # These two name the host, but no address.
    except urllib3.exceptions.ReadTimeoutError:
        raise Interruption("the host fell silent") from None
    except urllib3.exceptions.HTTPError:
        raise Interruption("the connection was cut") from None
    except OSError as error:
        raise ArchiveError(
            f"{what}: {part.path} cannot be written: {error.strerror}",
            f"room for {part.lacking:,} bytes more",
            f"free it and run `dvc repro` again; {part.size:,} bytes are there and are kept",
        ) from None
