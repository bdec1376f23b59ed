"""A dataset of Kaggle, asked for with Kaggle's own client: its way to sign in and its requests, our way to fail.

The texts of the client's errors hold signed addresses and, of a malformed one, the token. None of them leaves this
module: what happened is said in our own words, and raised outside of handlers, so that no context holds them.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit

from glassbox.files import json_object
from glassbox.sources.client import client
from glassbox.sources.errors import ArchiveError
from glassbox.sources.patience import Interruption, Patience, patiently
from glassbox.sources.transfer import RangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from glassbox.params.sources import KaggleSource

T = TypeVar("T")

_SETTINGS = "https://www.kaggle.com/settings/api"


class KaggleError(ArchiveError):
    """Kaggle does not hand out an archive: credentials, terms, or a name that it does not know."""


class About(NamedTuple):
    """What Kaggle says of a dataset: its newest version (0 where it does not say) and its licence."""

    newest: int
    licence: str


def credentials() -> str | None:
    """Which of Kaggle's ways to sign in its client would take, without any secret; None where there is none.

    Raises:
        KaggleError: A token cannot be read.
    """
    return next(iter(_ways()), None)


def _ways() -> list[str]:
    """The ways to sign in that are at hand, in the client's order."""
    home = Path("~").expanduser()
    ways = [way] if (way := _token(home)) else []
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    if not folder.exists() and not os.environ.get("KAGGLE_CONFIG_DIR"):
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    values = dict.fromkeys(("username", "key"), "")
    places = dict.fromkeys(values, f"kaggle.json in {folder}")
    values |= {name: value for name, value in json_object(folder / "kaggle.json").items() if name in values}
    for name in values:
        # An empty variable hides the file's value, too.
        if (variable := f"KAGGLE_{name.upper()}") in os.environ:
            values[name], places[name] = os.environ[variable], variable
    if all(values.values()):
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
        long, reason = error.errno == errno.ENAMETOOLONG, os.strerror(error.errno or 0)
    else:
        return f"access_token in {home / '.kaggle'}" if token and place == "access_token" else token and place
    raise KaggleError(
        "KAGGLE_API_TOKEN is too long: Kaggle's client takes it for the name of a file"
        if long
        else f"the file of a Kaggle token cannot be read: {reason}",
        f"a token in {home / '.kaggle' / 'access_token'}, readable by you alone",
        "put it there and unset KAGGLE_API_TOKEN",
    )


class Dataset:
    """A dataset at the version of its source, as the user's credentials see it.

    Args:
        settings: Which.
        source: Its name in the parameters, for the messages.
        patience: When to give up.

    Raises:
        KaggleError: There are no credentials, or Kaggle does not accept them.
        GaveUpError: Kaggle cannot be reached.
    """

    def __init__(self, settings: KaggleSource, source: str, patience: Patience) -> None:
        self._settings, self._source, self._patience = settings, source, patience
        version = f" version {settings.version}" if settings.version else ""
        self.name = f"sources.{source}: kaggle:{settings.ref}{version}"
        self._ways = _ways()
        if not self._ways:
            empty = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name) == ""]
            raise KaggleError(
                f"{self.name}: no credentials for Kaggle"
                + (f", as {' and '.join(empty)} is set but empty" if empty else ""),
                "KAGGLE_API_TOKEN (a token or the path of its file), ~/.kaggle/access_token, KAGGLE_USERNAME and "
                "KAGGLE_KEY, kaggle.json in ~/.kaggle or KAGGLE_CONFIG_DIR, or `kaggle auth login`",
                f"make a token at {_SETTINGS} and set KAGGLE_API_TOKEN to it",
            )
        if others := self._ways[1:]:
            print(
                f"{self.name}: signing in with {self._ways[0]}, which goes before {', '.join(others)}",
                file=sys.stderr,
            )
        self._headers: dict[str, str] = {}
        try:
            self._client = client(self._headers, (patience.connect, patience.silence))
        except OSError as error:
            raise KaggleError(
                f"{self.name}: Kaggle's client cannot make its folder {error.filename}: {error.strerror}",
                "a home folder that can be written",
                "set KAGGLE_CONFIG_DIR to a folder that is there, such as /tmp",
            ) from None
        self._patiently(self._client.authenticate)

    def about(self) -> About:
        """What Kaggle says of the dataset.

        Raises:
            KaggleError: It refuses to.
            GaveUpError: It cannot be reached.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

        def ask() -> About:
            request = ApiGetDatasetRequest()
            request.owner_slug, request.dataset_slug = self._settings.ref.split("/")
            with self._client.build_kaggle_client() as kaggle:
                found = kaggle.datasets.dataset_api_client.get_dataset(request)
            return About(found.current_version_number, found.license_name)

        return self._patiently(ask)

    def connect(self, headers: Mapping[str, str]) -> requests.Response:
        """Asks once for the archive at the pinned version, by an address signed for this request.

        Args:
            headers: For the storage host alone.

        Raises:
            Interruption: Not now; `RangeRefused` for 416.
            KaggleError: Kaggle refuses to hand it out.
        """
        self._headers.clear()
        self._headers.update(headers)
        pinned = f"{self._settings.ref}/{self._settings.version}"

        def ask() -> requests.Response:
            self._client.dataset_download_files(pinned, path=str(Path()), quiet=True)
            return self._client.answer

        return self._asked(ask)

    def _patiently(self, ask: Callable[[], T]) -> T:
        return patiently(lambda: self._asked(ask), self.name, self._patience)

    def _asked(self, ask: Callable[[], T]) -> T:
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
            # The client posts all it has to ask; only the archive is got.
            return self._of_storage(response) if response.request.method == "GET" else self._of_kaggle(response)
        address = getattr(getattr(error, "request", None), "url", None)
        host = (urlsplit(address).hostname if address else None) or "Kaggle"
        for kind, what in (
            (exceptions.Timeout, f"{host} did not answer in time"),
            (exceptions.SSLError, f"no secure connection to {host} (certificates, or a proxy that breaks them)"),
            (exceptions.ProxyError, f"no connection to {host} through the proxy"),
            (exceptions.ConnectionError, f"no connection to {host}"),
        ):
            if isinstance(error, kind):
                return Interruption(what)
        return KaggleError(
            f"{self.name}: Kaggle's client failed on what {host} answered ({type(error).__name__})",
            "an answer of Kaggle's, not one of a proxy or a sign-in page",
            "check what stands between this machine and Kaggle, and run `dvc repro` again",
        )

    def _of_kaggle(self, response: requests.Response) -> Exception:
        status = response.status_code
        page = f"https://www.kaggle.com/datasets/{self._settings.ref}"
        if status == 401:
            return self._unauthenticated()
        if status == 403:
            return KaggleError(
                f"{self.name}: Kaggle refuses access (403)",
                "an account that has accepted the dataset's terms",
                f"open {page} in a browser with the account of {self._ways[0]}, accept the terms there, "
                "and run `dvc repro` again",
            )
        if status == 404:
            return KaggleError(
                f"{self.name}: Kaggle knows no such dataset or version (404)",
                f"OWNER/DATASET and a version as {page} shows them",
                f"correct sources.{self._source}.ref or sources.{self._source}.version",
            )
        if status in (408, 429) or status >= 500:
            return Interruption(f"Kaggle answers {status}", _asks(response))
        return KaggleError(
            f"{self.name}: Kaggle answers {status}",
            "its archive",
            f"see whether {page} is there, and try again later",
        )

    def _of_storage(self, response: requests.Response) -> Exception:
        status = response.status_code
        if status == 416:
            size = response.headers.get("Content-Range", "").removeprefix("bytes */")
            return RangeRefused(int(size) if size.isdecimal() else None)
        if status in (400, 401, 403):
            # Google's storage calls an expired signature a bad request.
            return Interruption(f"the storage host does not take the link any more ({status})")
        if status in (408, 429) or status >= 500:
            return Interruption(f"the storage host answers {status}", _asks(response))
        return KaggleError(
            f"{self.name}: the storage host answers {status}",
            "the file behind Kaggle's link",
            f"see whether https://www.kaggle.com/datasets/{self._settings.ref} still has this version",
        )

    def _unauthenticated(self) -> KaggleError:
        shadowed = "".join(f", or unset it to use {way}" for way in self._ways[1:2])
        return KaggleError(
            f"{self.name}: Kaggle does not accept the credentials of {self._ways[0]}",
            "a token, or a user name and key, that are valid",
            f"make a new one at {_SETTINGS}{shadowed}",
        )


def _asks(response: requests.Response) -> float | None:
    """The seconds that a host asks to wait, as a number or a date."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    try:
        return Retry().parse_retry_after(response.headers["Retry-After"])
    except (KeyError, InvalidHeader):
        return None
