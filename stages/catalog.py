"""Read the tables of one archive into its catalog: one row an image."""

from glassbox.cohorts.build import build
from glassbox.doors import enter

if __name__ == "__main__":
    enter("catalog", build, "sources")
