"""Kaggle and its storage host on the loopback: what the real client needs for a download, with faults on demand.

    with LoopbackKaggle(blob, token="...") as server:
        server.storage_faults += [cut(1000), status(503)]

A fault answers one request in place of the server; None lets one pass. Kaggle is `localhost` and the storage host
is `127.0.0.1`, so that the client takes them for two hosts and keeps its credentials from the second.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    Fault = Callable[["LoopbackKaggle", BaseHTTPRequestHandler], None]

#: Makes the server's processes out of those that a test starts; see there.
ENDPOINT = Path(__file__).parent / "kaggle_endpoint"
#: What signs the tests in, and a part of every address of the storage host: nobody else may see them.
USER, KEY, TOKEN, SIGNATURE = "alice", "k3y0fTheTests", "t0ken0fTheTests", "5ea1edS1gnature"


class Request(NamedTuple):
    """What a client asked: of Kaggle by a name and a body, of the storage host by a path."""

    method: str
    name: str
    headers: Message
    body: dict[str, Any]


class LoopbackKaggle:
    """A server with one dataset.

    Args:
        blob: The zip of its newest version.
        version: Which that is.
        token: What signs in; any of the two, nobody needs to where there is neither.
        basic: User name and key that sign in.

    Attributes:
        blob: May be replaced, and with it its ETag and its hash.
        hashed: Whether the storage host sends the blob's MD5.
        tagged: Whether it sends an ETag.
        ranges: Whether it resumes.
        faults: What answers the next requests to Kaggle.
        storage_faults: What answers the next requests to the storage host.
        requests: What was asked, in order.
        closing: Set when the server ends.
    """

    def __init__(
        self, blob: bytes, *, version: int = 3, token: str | None = None, basic: tuple[str, str] | None = None
    ) -> None:
        self.version, self.token, self.basic = version, token, basic
        self.blob = blob
        self.hashed = self.ranges = self.tagged = True
        self.faults: list[Fault | None] = []
        self.storage_faults: list[Fault | None] = []
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._links = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                server._kaggle(self)

            def do_GET(self) -> None:
                server._storage(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that leave are no error."""

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self._http.server_port}"

    def __enter__(self) -> LoopbackKaggle:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def environment(self) -> dict[str, str]:
        """What makes a process's client ask this server; PYTHONPATH may need more."""
        return {"GLASSBOX_TEST_KAGGLE": self.url, "PYTHONPATH": str(ENDPOINT)}

    def stored(self) -> list[str | None]:
        """The Range of each request to the storage host, in order."""
        return [request.headers.get("Range") for request in self.requests if request.method == "GET"]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.blob, usedforsecurity=False).hexdigest()}"'

    def _kaggle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)) or b"{}")
        name = handler.path.rpartition("/")[2]
        self.requests.append(Request("POST", name, handler.headers, body))
        if name == "IntrospectToken":
            known = self.token is not None and body.get("token") == self.token
            answer(handler, 200, {"active": known, "username": USER if known else ""})
        elif not self._signed_in(handler.headers.get("Authorization", "")):
            answer(handler, 401, {"code": 401, "message": "Unauthenticated"})
        elif fault := self.faults.pop(0) if self.faults else None:
            fault(self, handler)
        elif name == "GetDataset":
            ref = f"{body['ownerSlug']}/{body['datasetSlug']}"
            about = {"id": 5839, "ref": ref, "totalBytes": len(self.blob), "licenseName": "CC0-1.0"}
            answer(handler, 200, about | {"currentVersionNumber": self.version})
        elif name == "DownloadDataset":
            version = body.get("datasetVersionNumber") or self.version
            self._links += 1
            answer(handler, 302, {}, Location=self._link(handler, version))
        else:
            answer(handler, 404, {"code": 404, "message": f"no {name} here"})

    def _signed_in(self, authorization: str) -> bool:
        wanted = {f"Bearer {self.token}"} if self.token else set()
        if self.basic:
            wanted.add("Basic " + base64.b64encode(":".join(self.basic).encode()).decode())
        return not wanted or authorization in wanted

    def _link(self, handler: BaseHTTPRequestHandler, version: int) -> str:
        port = handler.server.server_address[1]
        path = f"kaggle-data-sets/5839/{version}/bundle/archive.zip"
        return f"http://127.0.0.1:{port}/{path}?X-Goog-Expires=259200&X-Goog-Signature={SIGNATURE}{self._links}"

    def _storage(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(Request("GET", handler.path, handler.headers, {}))
        if fault := self.storage_faults.pop(0) if self.storage_faults else None:
            fault(self, handler)
        else:
            self.send(handler)

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        *,
        upto: int | None = None,
        declared: int | None = None,
        silence: float = 0.0,
        pause: float = 0.0,
        flip: int | None = None,
        start: int | None = None,
    ) -> None:
        """Sends the blob, or from where the client has it.

        Args:
            handler: Of the request.
            upto: How many bytes of the body come.
            declared: Content-Length, where it is to be wrong; none is sent below 0.
            silence: Seconds without a byte before the connection is cut.
            pause: Seconds between two blocks of 10,000 bytes.
            flip: Offset in the blob of a byte that is sent wrong.
            start: Where the body starts, whatever was asked for.
        """
        whole = self.blob
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        current = handler.headers.get("If-Range") in (None, self.etag, self.modified)
        first = int(asked[1]) if asked and self.ranges and current else 0
        if first and first >= len(whole):
            answer(handler, 416, {}, Content_Range=f"bytes */{len(whole)}")
            return
        first = first if start is None else start
        body = bytearray(whole[first:])
        if flip is not None and first <= flip < len(whole):
            body[flip - first] ^= 0x10
        length = len(body) if declared is None else declared
        handler.send_response(206 if asked and self.ranges and current else 200)
        headers = {"Content-Type": "application/zip", "Last-Modified": self.modified}
        if length >= 0:
            headers["Content-Length"] = str(length)
        if asked and self.ranges and current:
            headers["Content-Range"] = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
        if self.tagged:
            headers["ETag"] = self.etag
        if self.hashed:
            md5 = base64.b64encode(hashlib.md5(whole, usedforsecurity=False).digest()).decode()
            headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={md5}"
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        sent = body if upto is None else body[:upto]
        block = 10_000 if pause else len(sent) or 1
        for at in range(0, len(sent), block):
            handler.wfile.write(sent[at : at + block])
            self.closing.wait(pause)
        self.closing.wait(silence)
        if len(sent) != length:
            handler.close_connection = True

    @property
    def modified(self) -> str:
        return formatdate(1_600_000_000, usegmt=True)


def answer(handler: BaseHTTPRequestHandler, code: int, body: dict[str, Any], **headers: str) -> None:
    """Answers in JSON; `_` in the name of a header stands for `-`."""
    data = json.dumps(body).encode()
    handler.send_response(code)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(data))} | headers
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def cut(count: int) -> Fault:
    """The connection ends after so many bytes of the body."""
    return lambda server, handler: server.send(handler, upto=count)


def stalled(count: int, seconds: float) -> Fault:
    """So many bytes of the body, then silence."""
    return lambda server, handler: server.send(handler, upto=count, silence=seconds)


def trickling(pause: float) -> Fault:
    """The blob, 10,000 bytes at a time."""
    return lambda server, handler: server.send(handler, pause=pause)


def silent(seconds: float) -> Fault:
    """No answer at all."""

    def fault(server: LoopbackKaggle, handler: BaseHTTPRequestHandler) -> None:
        server.closing.wait(seconds)
        handler.close_connection = True

    return fault


def declared(length: int) -> Fault:
    """The blob under a wrong Content-Length."""
    return lambda server, handler: server.send(handler, declared=length)


def flipped(offset: int) -> Fault:
    """The blob with one bit wrong."""
    return lambda server, handler: server.send(handler, flip=offset)


def elsewhere(start: int) -> Fault:
    """Another part of the blob than asked for."""
    return lambda server, handler: server.send(handler, start=start)


def replaced(blob: bytes) -> Fault:
    """Another blob from now on, sent."""

    def fault(server: LoopbackKaggle, handler: BaseHTTPRequestHandler) -> None:
        server.blob = blob
        server.send(handler)

    return fault


def status(code: int, message: str = "fault", **headers: str) -> Fault:
    """A refusal of Kaggle's."""
    return lambda _, handler: answer(handler, code, {"code": code, "message": message}, **headers)


def page(_: LoopbackKaggle, handler: BaseHTTPRequestHandler) -> None:
    """What a proxy or a sign-in page answers in Kaggle's place."""
    body = b"<html>Please sign in</html>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def storage_status(code: int, **headers: str) -> Fault:
    """A refusal of the storage host's, which repeats the address as Google's does."""

    def fault(server: LoopbackKaggle, handler: BaseHTTPRequestHandler) -> None:
        body = f"<Error><Code>ExpiredToken</Code><Details>{handler.path}</Details></Error>".encode()
        handler.send_response(code)
        headers_ = {"Content-Type": "application/xml", "Content-Length": str(len(body))} | headers
        for name, value in headers_.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return fault
