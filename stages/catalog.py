"""Read the tables of one archive into its catalog: one row an image."""

from glassbox.catalogs.build import build
from glassbox.params.read import block
from glassbox.params.sources import AnySource
from glassbox.params.withdrawn import Withdrawn
from glassbox.stage import enter


def work(source: str) -> None:
    """Builds the catalog, without whoever is withdrawn."""
    build(block("sources", source, AnySource), source, block("withdrawn", source, Withdrawn))


if __name__ == "__main__":
    enter("catalog", work)
