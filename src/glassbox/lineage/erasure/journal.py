"""What an erasure has to know to go on after it was killed: it names the patients, and goes when all is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic import Field

from glassbox.files import write_json
from glassbox.lineage.erasure.ledger import ErasureError
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.places import JOURNALS
from glassbox.params.base import Frozen

if TYPE_CHECKING:
    from pathlib import Path


class Journal(Frozen):
    """An erasure that has begun."""

    source: str
    patients: tuple[str, ...]
    keep_models: bool
    #: What gives them away; None before that was gathered.
    marks: Marks | None = None
    #: MD5 of each model that saw them -> the stage that made it.
    models: dict[str, str] = Field(default={})
    #: Images of others that have the same files.
    same_of_others: tuple[str, ...] = ()
    #: Why more may have seen them than is known.
    unread: tuple[str, ...] = ()


def path(source: str) -> Path:
    """Where the journal of a source lies, while an erasure lasts."""
    return JOURNALS / f"{source}.json"


def read(source: str) -> Journal | None:
    """The erasure of a source that has begun; None where none has.

    Raises:
        ErasureError: The journal is damaged.
    """
    place = path(source)
    try:
        content: Any = json.loads(place.read_bytes())
        return Journal.model_validate(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, pydantic.ValidationError):
        raise ErasureError(
            f"{place} is damaged",
            "the journal of an erasure as it was written",
            f"delete it, and name the patients again: `glassbox withdraw --source {source} --patient ID --erase`",
        ) from None


def write(journal: Journal) -> None:
    """Writes a journal."""
    write_json(path(journal.source), journal.model_dump(mode="json"))
