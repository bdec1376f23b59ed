"""Reading params.yaml: a block of it as its type, or one message that names every wrong place."""

from __future__ import annotations

from typing import Any

import pydantic
import yaml

from glassbox.errors import GlassboxError
from glassbox.paths import PARAMS

#: What the limits of a JSON schema mean.
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "pattern": "like",
}
_ABSENT = object()


class ParamsError(GlassboxError):
    """A parameter is unknown, of the wrong type, out of range or names something that is not there."""


def values() -> Any:
    """What params.yaml says, unchecked.

    Raises:
        ParamsError: The file is missing, or no YAML.
    """
    try:
        return yaml.load(PARAMS.read_bytes(), yaml.CSafeLoader)
    except FileNotFoundError:
        raise ParamsError(
            f"{PARAMS} is not there", "the composed parameters in the project's root", "run `glassbox use demo`"
        ) from None
    except yaml.YAMLError as error:
        raise ParamsError(
            f"{PARAMS} is no YAML: {error}", "a YAML mapping", "mend it, or run `glassbox use demo`"
        ) from None


def block(section: str, key: str, kind: Any) -> Any:
    """One block of params.yaml as its type, a class or a union of some: `sources`, `films` is `sources.films`.

    Raises:
        ParamsError: There is no such block, or it holds a wrong value.
    """
    document = values()
    known = document.get(section) if isinstance(document, dict) else None
    known = known if isinstance(known, dict) else {}
    if key not in known:
        raise ParamsError(
            f"{PARAMS} has no {section}.{key}",
            f"one of: {', '.join(map(str, known)) or 'none'}",
            "name one of them, or compose the file anew with `glassbox use PROFILE`",
        )
    return parse({section: {key: known[key]}}, dict[str, dict[str, kind]], str(PARAMS))[section][key]


def parse(found: Any, kind: Any, place: str) -> Any:
    """Values as a type, a class or a union of some; `place` says in messages where they stand.

    Raises:
        ParamsError: A value is wrong; every wrong place is named, with what stands there and what is allowed.
    """
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    try:
        return adapter.validate_python(found)
    except pydantic.ValidationError as error:
        schema = adapter.json_schema()
        # Each branch of a union complains of the one value.
        lines = dict.fromkeys(f"{place}: {_line(detail, found, schema)}" for detail in error.errors())
        raise ParamsError(
            "\n  ".join(lines),
            "parameters as src/glassbox/params/ describes them",
            "mend the named places, or compose the file anew with `glassbox use PROFILE`",
        ) from None


def _line(detail: Any, found: Any, schema: Any) -> str:
    """One wrong place, what stands there and what is allowed.

    The place is as the file has it: pydantic's own has the branches of unions between the keys.
    """
    place: list[str] = []
    block = schema
    for part in detail["loc"]:
        branches = [branch for branch in block.get("anyOf", [block]) if branch != {"type": "null"}]
        if len(branches) > 1:
            break
        block = _referred(branches[0], schema)
        if "discriminator" in block:
            block = {"$ref": block["discriminator"]["mapping"][part]}
        elif part == "[key]":
            return f"{'.'.join(place)}: found {detail['input']!r} as a key: {detail['msg']}"
        else:
            place.append(str(part))
            if "properties" in block and part not in block["properties"]:
                return f"{'.'.join(place)}: unknown key; allowed here: {', '.join(block['properties'])}"
            found = found.get(part, _ABSENT) if isinstance(found, dict) else found[part]
            inside = (block.get("properties", {}).get(part), block.get("items"), block.get("additionalProperties"))
            block = next(filter(None, (*inside, *block.get("patternProperties", {}).values())))
    block = _referred(block, schema)
    if "discriminator" in block and isinstance(found, dict):
        name = block["discriminator"]["propertyName"]
        place.append(name)
        found, block = found.get(name, _ABSENT), {"enum": list(block["discriminator"]["mapping"])}
    where = f"{'.'.join(place)}: " if place else ""
    said = "missing" if found is _ABSENT else f"found {found!r}"
    error = detail.get("ctx", {}).get("error")
    if error is None:
        return f"{where}{said}; allowed here: {_allowed(block, schema)}"
    return f"{where}{error}" if isinstance(found, dict) else f"{where}{said}: {error}"


def _allowed(block: Any, schema: Any) -> str:
    """What a JSON schema allows, in words."""
    block = _referred(block, schema)
    if "anyOf" in block:
        return ", or ".join(_allowed(branch, schema) for branch in block["anyOf"])
    if "discriminator" in block:
        return f"{{{block['discriminator']['propertyName']}, ...}}"
    if "properties" in block:
        keys = list(block["properties"])
        said = [f"{key}: {_allowed(block['properties'][key], schema)}" for key in keys] if len(keys) == 1 else keys
        return f"{{{', '.join(said)}}}"
    if "const" in block or "enum" in block:
        return ", ".join(map(str, block.get("enum", [block.get("const")])))
    limits = " and ".join(f"{word} {block[key]}" for key, word in _LIMITS.items() if key in block)
    return f"{block['type']} {limits}".rstrip()


def _referred(block: Any, schema: Any) -> Any:
    """A block of a JSON schema, or the one that it refers to."""
    return schema["$defs"][block["$ref"].rpartition("/")[2]] if "$ref" in block else block
