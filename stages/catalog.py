"""Read the tables of one archive into its catalog: one row an image."""

from glassbox.catalogs.build import build
from glassbox.params.read import block
from glassbox.params.sources import AnySource
from glassbox.stage import enter


def work(source: str) -> None:
    """Builds the catalog."""
    build(block("sources", source, AnySource), source)


if __name__ == "__main__":
    enter("catalog", work)
