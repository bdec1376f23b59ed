"""The MLflow store: where it is, how it comes to be, and one refusal where it cannot be used.

MLflow takes seconds to import: everything of it is imported inside functions.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.errors import GlassboxError
from glassbox.files import locked
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mlflow.tracking import MlflowClient

# Both before MLflow is imported; the second because it prints the address of every run, password and all.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
# It draws a bar for each file.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Else it tells that it creates its tables.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

#: The MLflow experiment that holds all runs, so that its table compares them.
EXPERIMENT = "glassbox"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"


class TrackingError(GlassboxError):
    """The MLflow store cannot be used, or what it should mirror is not on disk."""


class Store(NamedTuple):
    """An open store and the experiment in it."""

    client: MlflowClient
    experiment_id: str


def root() -> Path:
    """The project's folder: DVC names it, also to an experiment that runs in a temporary clone of it."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).absolute()


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the database `mlflow.db` in the project's root.

    A relative SQLite path is relative to the project's root, not to the folder a stage happens to run in.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}mlflow.db"
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{(root() / uri.removeprefix(_SQLITE)).as_posix()}"
    return uri


def alone(what: str = "writing to the MLflow store") -> AbstractContextManager[None]:
    """Holds the store's lock: of two processes, one creates what both would."""
    return locked(root() / WORK / "locks" / "mlflow.lock", what)


def open_store() -> Store:
    """Opens the store, and creates it and its experiment where they are not there.

    Raises:
        TrackingError: The store cannot be reached, read or written.
    """
    uri = tracking_uri()
    with refusing():
        _reach(uri)
        from mlflow.tracking import MlflowClient

        # Two processes that create the tables at once crash each other.
        with alone("setting up the MLflow store"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            return Store(client, _experiment(client, uri))


def existing() -> Store | None:
    """Opens the store as it is; None where there is none, or it has no experiment of ours. Nothing is created.

    Raises:
        TrackingError: The store cannot be reached or read.
    """
    uri = tracking_uri()
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        return None
    with refusing():
        _reach(uri)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        return Store(client, str(found.experiment_id)) if found else None


def _reach(uri: str) -> None:
    """Touches the store once: MLflow itself tries again for minutes before it says that nobody is there."""
    scheme = uri.partition(":")[0]
    if scheme in ("http", "https"):
        import requests

        requests.get(uri, timeout=20)  # Any answer will do.
    elif scheme.partition("+")[0] in _DATABASES:
        import sqlalchemy

        if uri.startswith(_SQLITE):
            Path(uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        sqlalchemy.inspect(sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)).get_table_names()


def _experiment(client: MlflowClient, uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        # MLflow's default is a folder under the working directory, which may be a temporary clone. A server
        # has a place of its own.
        is_database = uri.partition(":")[0].partition("+")[0] in _DATABASES
        artifacts = (root() / "mlartifacts").as_uri() if is_database else None
        return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    if found.lifecycle_stage == "deleted":
        # Deleting an experiment in the UI only hides it, and keeps its name taken.
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what MLflow raises when its store fails into a `TrackingError` that shows no password.

    These are its own errors, and those of database, network and disk.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError, ImportError) as error:
        first, _, _ = str(error).strip().partition("\n")
        said = without_credentials(f"{tracking_uri()} cannot be used: {type(error).__name__}: {first}")
        raise TrackingError(
            f"the MLflow store {said}",
            "a store that MLflow 3 can reach, read and write",
            "mend or unset MLFLOW_TRACKING_URI"
            if os.environ.get("MLFLOW_TRACKING_URI")
            else "move mlflow.db away and run `glassbox track`, which writes it anew from what is on disk",
        ) from None


def without_credentials(text: str) -> str:
    """Hides what stands before the host and after the path of every address in a text."""
    return re.sub(r"(://\S*?)\?\S*", r"\1", re.sub(r"://\S*@", "://***@", text))
