"""Writes docs/recipes.md: what the sources publish (`recipes.md.jinja`) beside what profile `paper` runs.

    uv run python docs/recipes.py

It refuses where the template passes over a recipe of that profile, or over a setting or a published score that a
recipe's own file has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import fill
from typing import Any

import jinja2
import yaml

from glassbox.files import write_text
from glassbox.profiles import CONF, compose

FOLDER = Path(__file__).parent
#: What a recipe says in words, which is not a setting.
WORDS = ("title", "departures", "published.source")


class Page:
    """The page, written from its top to its end, so that each setting is that of the recipe above it."""

    def __init__(self) -> None:
        self._values = compose("paper", [])
        self._named: dict[str, set[str]] = {}
        self._recipe = ""

    def text(self) -> str:
        """The whole page.

        Raises:
            SystemExit: The template leaves out something that `conf/` has.
        """
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER),
            autoescape=False,  # noqa: S701 (Markdown)
            keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
        )
        template = environment.get_template("recipes.md.jinja")
        text = template.render(recipe=self.recipe, here=self.here, departures=self.departures)
        if missing := [
            f"{recipe}: {place}" for recipe in self._values["experiments"] for place in self._lacks(recipe)
        ]:
            sys.exit("docs/recipes.md.jinja does not name:\n  " + "\n  ".join(missing))
        return text.rstrip() + "\n"

    def recipe(self, name: str) -> str:
        """A recipe's heading: what follows is said of it."""
        self._recipe, self._named[name] = name, set()
        return f"`{name}`"

    def here(self, *places: str) -> str:
        """The values of some places: `path = value`, of the recipe, or of the split, dataset or weights it has."""
        self._named[self._recipe].update(places)
        return ", ".join(f"`{place} = {_as_yaml(self._value(place))}`" for place in places)

    def departures(self, beside: str | None = None) -> str:
        """The departures of a recipe, but for those that the recipe `beside` has as well."""
        experiments = self._values["experiments"]
        known = experiments[beside]["departures"].values() if beside else ()
        own = [said for said in experiments[self._recipe]["departures"].values() if said and said not in known]
        return "\n".join(fill(said, 118, initial_indent="- ", subsequent_indent="  ") for said in own)

    def _value(self, place: str) -> Any:
        experiment = self._values["experiments"][self._recipe]
        split = self._values["splits"][experiment["split"]]
        inside = {
            "split": split,
            "dataset": self._values["datasets"][split["dataset"]],
            "weights": self._values["weights"][experiment["weights"]],
            "grids": self._values["grids"],
        }
        first, _, rest = place.partition(".")
        block = inside[first] if rest and first in inside else experiment
        for key in (rest if rest and first in inside else place).split("."):
            block = block[key]
        return block

    def _lacks(self, recipe: str) -> list[str]:
        """The settings of a recipe's own file, and its published scores, that the page does not name."""
        if recipe not in self._named:
            return ["the recipe itself"]
        own = {
            place
            for place in _leaves(_own(recipe))
            if not place.startswith(("defaults", "published.scores", *WORDS))
        }
        scores = self._values["experiments"][recipe]["published"]["scores"]
        wanted = own | set(_leaves(scores, "published.scores."))
        named = self._named[recipe]
        return sorted(place for place in wanted if place not in named and place.rpartition(".")[0] not in named)


def _own(recipe: str) -> Any:
    return yaml.safe_load((CONF / "experiment" / f"{recipe}.yaml").read_text(encoding="utf-8"))


def _leaves(block: dict[str, Any], above: str = "") -> list[str]:
    return [
        place
        for key, value in block.items()
        for place in (_leaves(value, f"{above}{key}.") if isinstance(value, dict) else [above + key])
    ]


def _as_yaml(value: Any) -> str:
    """A value as a YAML file would have it, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=sys.maxsize)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    write_text(FOLDER / "recipes.md", Page().text())
