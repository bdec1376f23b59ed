"""A dataset of Kaggle. Kaggle's own client signs in and sends the requests; errors and the transfer are ours.

The texts of the client's errors hold signed addresses, and the token where that is malformed. None of them leaves
this module: what happened is said in our own words, and raised outside of handlers, so that no context holds them.
The client's transfer is not used because it can end well with a corrupt file: it appends the text of an error to
what is there, takes a body that is too short, and skips what has the right size.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from glassbox.archives.errors import ArchiveError
from glassbox.archives.transfer import Interruption, RangeRefused, Retries, retrying
from glassbox.files import json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from glassbox.params.sources import KaggleSource

_SETTINGS = "https://www.kaggle.com/settings/api"


def credentials() -> list[str]:
    """The ways to sign in that are at hand, in the order of Kaggle's client, without any secret.

    Raises:
        ArchiveError: A token cannot be read.
    """
    home = Path("~").expanduser()
    ways = [way] if (way := _token(home)) else []
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    if not folder.exists() and not os.environ.get("KAGGLE_CONFIG_DIR"):
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    file = json_object(folder / "kaggle.json")
    places = {}
    for name in ("username", "key"):
        variable = f"KAGGLE_{name.upper()}"
        # An empty variable hides the file's value, too.
        if os.environ.get(variable, file.get(name)):
            places[name] = variable if variable in os.environ else f"kaggle.json in {folder}"
    if len(places) == 2:
        ways.append(" and ".join(dict.fromkeys(places.values())))
    if json_object(home / ".kaggle" / "credentials.json").get("refresh_token"):
        ways.append(f"credentials.json in {home / '.kaggle'}")
    return ways


def _token(home: Path) -> str | None:
    """Where the client finds a token."""
    from kagglesdk.kaggle_env import get_access_token_from_env

    try:
        token, place = get_access_token_from_env()
    except OSError as error:
        # Its file name is the token where KAGGLE_API_TOKEN holds one that is too long for a name.
        reason = os.strerror(error.errno or 0)
    else:
        return f"access_token in {home / '.kaggle'}" if token and place == "access_token" else token and place
    raise ArchiveError(
        f"the file of a Kaggle token, which KAGGLE_API_TOKEN may name, cannot be read: {reason}",
        f"a token in {home / '.kaggle' / 'access_token'}, readable by you alone",
        "put it there and unset KAGGLE_API_TOKEN",
    )


def client(headers: Mapping[str, str], retries: Retries) -> Any:
    """Kaggle's client, not signed in yet: silent, and with a limit to each wait.

    Each request to the storage host carries what `headers` holds at its time.

    Raises:
        OSError: Its configuration folder cannot be made.
    """
    from requests.adapters import HTTPAdapter

    # `kaggle/__init__.py` is left out: it signs in while it is imported, which prints, and waits without a limit.
    if "kaggle" not in sys.modules and (spec := importlib.util.find_spec("kaggle")):
        sys.modules["kaggle"] = importlib.util.module_from_spec(spec)
    from kaggle.api.kaggle_api_extended import KaggleApi

    # At its lowest level it writes down every address; the client's verbose mode asks for that.
    logging.getLogger("urllib3").setLevel(logging.INFO)

    class Adapter(HTTPAdapter):  # type: ignore[misc]  # its types are not installed
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            # The client posts all it has to ask; only the archive is got.
            if request.method == "GET":
                request.headers.update(headers)
            return super().send(request, *args, **options | {"timeout": (retries.connect, retries.read)})

    class Client(KaggleApi):  # type: ignore[misc]  # it has no types
        # Its verbose mode prints every request, credentials included.
        args: ClassVar = [arg for arg in KaggleApi.args if arg != "--verbose"]

        def build_kaggle_client(self) -> Any:
            built = super().build_kaggle_client()
            http = built.http_client()
            http._init_session()  # noqa: SLF001 - there is no other way to its session
            for scheme in ("https://", "http://"):
                http._session.mount(scheme, Adapter())  # noqa: SLF001 - nor to what it sends with
            return built

        def get_response_processor(self) -> None:
            """None: it compares versions, to advise another than the locked one."""

    return Client()


class Dataset:
    """The dataset of a source, at its version, as the user's credentials see it.

    Raises:
        ArchiveError: There are no credentials, or Kaggle does not accept them or cannot be reached.
    """

    def __init__(self, settings: KaggleSource, source: str, retries: Retries) -> None:
        self._settings, self._source, self._retries = settings, source, retries
        version = f" version {settings.version}" if settings.version else ""
        self.name = f"sources.{source}: kaggle:{settings.ref}{version}"
        self._ways = credentials()
        if not self._ways:
            empty = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name) == ""]
            raise ArchiveError(
                f"{self.name}: no credentials for Kaggle"
                + (f", as {' and '.join(empty)} is set but empty" if empty else ""),
                "KAGGLE_API_TOKEN (a token or the path of its file), ~/.kaggle/access_token, KAGGLE_USERNAME and "
                "KAGGLE_KEY, kaggle.json in ~/.kaggle or KAGGLE_CONFIG_DIR, or `kaggle auth login`",
                f"make a token at {_SETTINGS} and set KAGGLE_API_TOKEN to it",
            )
        if others := ", ".join(self._ways[1:]):
            print(f"{self.name}: signing in with {self._ways[0]}, which goes before {others}", file=sys.stderr)
        self._headers: dict[str, str] = {}
        try:
            self._client = client(self._headers, retries)
        except OSError as error:
            raise ArchiveError(
                f"{self.name}: Kaggle's client cannot make its folder {error.filename}: {error.strerror}",
                "a home folder that can be written",
                "set KAGGLE_CONFIG_DIR to a folder that is there, such as /tmp",
            ) from None
        retrying(lambda: self._asked(self._client.authenticate), self.name, retries)

    def licence(self) -> str:
        """The dataset's licence, once it is clear that a version is pinned and there.

        Raises:
            ArchiveError: It is not, or Kaggle does not tell.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

        about = retrying(lambda: self._call("get_dataset", ApiGetDatasetRequest()), self.name, self._retries)
        # 0 where it does not say.
        newest = about.current_version_number
        if (pinned := self._settings.version) is None:
            raise ArchiveError(
                f"{self.name}: no version is given",
                f"one, so that the same files are fetched every time; {newest or 'N'} is the newest today",
                f"write `version: {newest or 'N'}` under sources.{self._source} in params.yaml, "
                "and in the file of conf/source/ that it is composed from",
            )
        if pinned > newest > 0:
            raise ArchiveError(
                f"{self.name}: there is no such version",
                f"one that is there; {newest} is the newest today",
                f"correct sources.{self._source}.version",
            )
        return str(about.license_name)

    def connect(self, headers: Mapping[str, str]) -> requests.Response:
        """Asks once for the archive, by an address signed for this request; `headers` are for the storage host.

        Raises:
            Interruption: Not now; `RangeRefused` where nothing is left to send.
            ArchiveError: Kaggle refuses to hand it out.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

        self._headers.clear()
        self._headers.update(headers)
        request = ApiDownloadDatasetRequest()
        request.dataset_version_number = self._settings.version
        return self._call("download_dataset", request)

    def _call(self, name: str, request: Any) -> Any:
        request.owner_slug, request.dataset_slug = self._settings.ref.split("/")

        def ask() -> Any:
            with self._client.build_kaggle_client() as kaggle:
                return getattr(kaggle.datasets.dataset_api_client, name)(request)

        return self._asked(ask)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        printed = StringIO()
        try:
            with redirect_stdout(printed):
                return ask()
        except SystemExit:
            failure: Exception = self._unauthenticated()
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
            failure = self._failure(error)
        finally:
            # That a key can be read by others, for one.
            warnings = [line for line in printed.getvalue().splitlines() if line.startswith("Warning")]
            print(*warnings, sep="\n", end="\n" * bool(warnings), file=sys.stderr)
        raise failure

    def _failure(self, error: Exception) -> Exception:
        """What an error of the client means."""
        from requests import exceptions

        response = getattr(error, "response", None)
        if response is not None:
            response.close()
            return self._refusal(response)
        address = getattr(getattr(error, "request", None), "url", None)
        host = (urlsplit(address).hostname if address else None) or "Kaggle"
        if isinstance(error, exceptions.Timeout):
            return Interruption(f"{host} did not answer in time")
        if isinstance(error, exceptions.ConnectionError):
            # Among them SSLError and ProxyError.
            return Interruption(f"no connection to {host} ({type(error).__name__})")
        return ArchiveError(
            f"{self.name}: Kaggle's client failed on what {host} answered ({type(error).__name__})",
            "an answer of Kaggle's, not one of a proxy or a sign-in page",
            "check what stands between this machine and Kaggle, and run `dvc repro` again",
        )

    def _refusal(self, response: requests.Response) -> Exception:
        """What an answer other than success means."""
        from urllib3.exceptions import InvalidHeader
        from urllib3.util.retry import Retry

        status, page = response.status_code, f"https://www.kaggle.com/datasets/{self._settings.ref}"
        of_storage = response.request.method == "GET"
        found, expected = f"{'the storage host' if of_storage else 'Kaggle'} answers {status}", "its archive"
        action = f"see whether {page} still has this version, and try again later"
        if status in (408, 429) or status >= 500:
            with suppress(InvalidHeader):
                return Interruption(found, Retry().get_retry_after(response))
            return Interruption(found)
        if of_storage and status == 416:
            return RangeRefused("the host has nothing after the bytes that are there")
        if of_storage and status in (400, 401, 403):
            # Google's storage calls an expired signature a bad request.
            return Interruption(f"the storage host does not take the link any more ({status})")
        if status == 401:
            return self._unauthenticated()
        if status == 403:
            found = "Kaggle refuses access (403)"
            expected = "an account that has accepted the dataset's terms"
            action = (
                f"open {page} in a browser with the account of {self._ways[0]}, accept the terms there, "
                "and run `dvc repro` again"
            )
        elif status == 404 and not of_storage:
            found = "Kaggle knows no such dataset or version (404)"
            expected = f"OWNER/DATASET and a version as {page} shows them"
            action = f"correct sources.{self._source}.ref or sources.{self._source}.version"
        return ArchiveError(f"{self.name}: {found}", expected, action)

    def _unauthenticated(self) -> ArchiveError:
        shadowed = "".join(f", or unset it to use {way}" for way in self._ways[1:2])
        return ArchiveError(
            f"{self.name}: Kaggle does not accept the credentials of {self._ways[0]}",
            "a token, or a user name and key, that are valid",
            f"make a new one at {_SETTINGS}{shadowed}",
        )
