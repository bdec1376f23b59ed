"""Reading params.yaml: a block of it as its type, or one message that names every wrong place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from glassbox.errors import GlassboxError
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from pathlib import Path


#: What pydantic calls a block whose kind is not one of those there are, and one without a kind.
_UNTAGGED = ("union_tag_invalid", "union_tag_not_found")


class ParamsError(GlassboxError):
    """A parameter is unknown, of the wrong type, out of range or names something that is not there."""


def values(path: Path = PARAMS) -> Any:
    """What a params file says, unchecked.

    Raises:
        ParamsError: The file is missing, or no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is not there", "the composed parameters in the project's root", "run `glassbox use demo`"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(
            f"{path} is no YAML: {error}", "a YAML mapping", "mend it, or run `glassbox use demo`"
        ) from None


def block(section: str, key: str, kind: Any) -> Any:
    """One block of params.yaml: `sources`, `phantom` is what stands under `sources.phantom`.

    Args:
        section: The part of the file that holds such blocks by their names.
        key: The block's name.
        kind: The type it has to have: a class of `glassbox.params`, or a union of some.

    Raises:
        ParamsError: There is no such block, or it holds a wrong value.
    """
    found = {section: named(section, key)}
    return parse(found, dict[str, dict[str, kind]], str(PARAMS))[section][key]


def blocks(section: str, kind: Any) -> dict[str, Any]:
    """All blocks of a section of params.yaml, by their names.

    Raises:
        ParamsError: A block holds a wrong value.
    """
    document = values()
    found = {section: document.get(section, {}) if isinstance(document, dict) else {}}
    checked: dict[str, Any] = parse(found, dict[str, dict[str, kind]], str(PARAMS))[section]
    return checked


def named(section: str, *keys: str) -> dict[str, Any]:
    """Some blocks of a section of params.yaml by their names, unchecked.

    Raises:
        ParamsError: There is no block of a name.
    """
    document = values()
    known = document.get(section) if isinstance(document, dict) else None
    known = known if isinstance(known, dict) else {}
    for key in keys:
        if key not in known:
            raise ParamsError(
                f"{PARAMS} has no {section}.{key}",
                f"one of: {', '.join(map(str, known)) or 'none'}",
                "name one of them, or compose the file anew with `glassbox use PROFILE`",
            )
    return {key: known[key] for key in keys}


def parse(found: Any, kind: Any, place: str) -> Any:
    """Checks values against a type.

    Args:
        found: The values.
        kind: The type they have to have.
        place: Where the values stand, for messages.

    Raises:
        ParamsError: A value is wrong; every wrong place is named.
    """
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    try:
        return adapter.validate_python(found)
    except pydantic.ValidationError as error:
        schema = adapter.json_schema()
        raise ParamsError(
            "\n  ".join(f"{place}: {_describe(detail, found, schema)}" for detail in error.errors()),
            "parameters as src/glassbox/params/ describes them",
            "mend the named places, or compose the file anew with `glassbox use PROFILE`",
        ) from None


def _describe(detail: Any, found: Any, schema: Any) -> str:
    where, kind = _where(detail, found), detail["type"]
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{where}unknown key; allowed here: {', '.join(_schema(schema, detail['loc'][:-1])['properties'])}"
    if kind == "missing":
        return f"{where}missing"
    if kind in _UNTAGGED:
        said = f"found {detail['ctx']['tag']!r}" if "tag" in detail["ctx"] else "missing"
        allowed = _schema(schema, detail["loc"])["discriminator"]["mapping"]
        return f"{where}{said}; allowed here: {', '.join(allowed)}"
    if kind == "value_error" and isinstance(detail["input"], dict):
        return f"{where}{message}"
    return f"{where}found {detail['input']!r}: {message}"


def _where(detail: Any, found: Any) -> str:
    """The place as it stands in the file: pydantic's has the branches of unions between the keys."""
    parts = []
    for part in detail["loc"]:
        if (isinstance(found, dict) and part in found) or (isinstance(found, list) and isinstance(part, int)):
            found = found[part]
            parts.append(str(part))
    if detail["type"] == "missing":
        parts.append(str(detail["loc"][-1]))
    if detail["type"] in _UNTAGGED:
        parts.append(detail["ctx"]["discriminator"].strip("'"))
    return f"{'.'.join(parts)}: " if parts else ""


def _schema(schema: Any, loc: tuple[str | int, ...]) -> Any:
    """The JSON schema of the block at `loc`, in which pydantic names the branch of a union between the keys."""
    block: Any = schema
    for part in loc:
        if part in block.get("properties", {}):
            block = block["properties"][part]
        elif "discriminator" in block:
            block = {"$ref": block["discriminator"]["mapping"][part]}
        elif "anyOf" in block:
            block = {"$ref": f"#/$defs/{part}"}
        elif "patternProperties" in block:
            (block,) = block["patternProperties"].values()
        else:
            block = block["additionalProperties"]
        if {"type": "null"} in block.get("anyOf", []):
            block = next(branch for branch in block["anyOf"] if branch != {"type": "null"})
        if "$ref" in block:
            block = schema["$defs"][block["$ref"].rpartition("/")[2]]
    return block
