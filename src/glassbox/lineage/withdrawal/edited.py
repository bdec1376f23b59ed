"""Editing params.yaml: some values become others, and every other character stays as a hand wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def edited(text: str, place: Sequence[str], value: Any) -> str:
    """The text of params.yaml with another value at one place; a section that it lacks comes last.

    Args:
        text: Whole and valid YAML.
        place: The keys that lead to the value: a section, or a section and a key in it.
        value: What shall stand there.

    Raises:
        ParamsError: It is written in a way that this cannot edit.
    """
    document = yaml.compose(text)
    assert document is not None  # its values were checked
    if span := _span(text, document, place):
        start, end, indent = span
        block = _block(place[-1], value, indent)
        result = text[:start] + block + text[end:].removeprefix("\n" if text[end - 1] != "\n" else "")
    else:
        result = text + ("" if text.endswith("\n") else "\n") + _block(place[0], _nested(place[1:], value), 0)
    try:
        fits = yaml.load(result, yaml.CSafeLoader) == _with(yaml.load(text, yaml.CSafeLoader), place, value)
    except yaml.YAMLError:
        fits = False
    if not fits:
        raise ParamsError(
            f"{PARAMS} is written in a way in which {'.'.join(place)!r} cannot be replaced",
            "mappings in block style, as `glassbox use` writes them",
            "compose it anew with `glassbox use PROFILE`",
        )
    return result


def _span(text: str, node: Any, place: Sequence[str]) -> tuple[int, int, int] | None:
    """Where the key of a place begins and its value ends, and in which column; None where there is no such key."""
    for key, value in node.value:
        if key.value != place[0]:
            continue
        if place[1:]:
            return _span(text, value, place[1:])
        start, end = key.start_mark.index, value.end_mark.index
        # A block ends for YAML where the next begins: what is said between them stays.
        old = text[start:end].splitlines(keepends=True)
        while old and not old[-1].partition("#")[0].strip():
            end -= len(old.pop())
        return start, end, key.start_mark.column
    return None


def _block(key: str, value: Any, indent: int) -> str:
    lines = yaml.safe_dump({key: value}, sort_keys=False, width=100).splitlines(keepends=True)
    return lines[0] + "".join(" " * indent + line for line in lines[1:])


def _nested(keys: Sequence[str], value: Any) -> Any:
    return {keys[0]: _nested(keys[1:], value)} if keys else value


def _with(values: Mapping[str, Any], place: Sequence[str], value: Any) -> dict[str, Any]:
    inner = _with(values.get(place[0]) or {}, place[1:], value) if place[1:] else value
    return {**values, place[0]: inner}
