"""Kaggle's own client as it is used here: with a limit to each wait, silent, and without its transfer of bytes."""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests


def client(headers: Mapping[str, str], timeout: tuple[float, float]) -> Any:
    """The client, not signed in yet.

    Its transfer is left out because it can end well with a corrupt file: it appends the text of an error to what
    is there, takes a body that is too short, and skips what has the right size.

    Args:
        headers: What each request to the storage host carries at its time.
        timeout: In seconds, of every request: to connect, and between two bytes.

    Returns:
        A `KaggleApi` whose `dataset_download_files` leaves the open response in `answer`.

    Raises:
        OSError: Its configuration folder cannot be made.
    """
    from requests.adapters import HTTPAdapter

    base = _imported()

    class Wire(HTTPAdapter):  # type: ignore[misc]
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            # The client posts all it has to ask; only the archive is got.
            if request.method == "GET":
                request.headers.update(headers)
            return super().send(request, *args, **options | {"timeout": timeout})

    class Client(base):  # type: ignore[misc, valid-type]
        # Its verbose mode prints every request, credentials included.
        args: ClassVar = [arg for arg in base.args if arg != "--verbose"]

        def build_kaggle_client(self) -> Any:
            built = super().build_kaggle_client()
            http = built.http_client()
            http._init_session()  # noqa: SLF001 - there is no other way to its session
            for scheme in ("https://", "http://"):
                http._session.mount(scheme, Wire())  # noqa: SLF001
            return built

        def get_response_processor(self) -> None:
            """None: it compares versions, to advise another than the locked one."""

        def download_needed(self, *_: Any) -> bool:
            return True

        def download_file(self, response: requests.Response, *_: Any) -> None:
            self.answer = response

    return Client()


def _imported() -> Any:
    """The class of the client, imported without `kaggle/__init__.py`.

    That one signs in while it is imported: it prints, and talks to Kaggle without a limit to its wait.
    """
    if "kaggle" not in sys.modules and (spec := importlib.util.find_spec("kaggle")):
        sys.modules["kaggle"] = importlib.util.module_from_spec(spec)
    from kaggle.api.kaggle_api_extended import KaggleApi

    # At its lowest level it writes down every address; the client's verbose mode asks for that.
    logging.getLogger("urllib3").setLevel(logging.INFO)
    return KaggleApi
