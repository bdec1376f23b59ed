"""Resize the images of one dataset into HDF5 shards, in parallel with Dask."""

from glassbox.params.datasets import Dataset
from glassbox.params.read import block
from glassbox.shards.build import build
from glassbox.stage import enter


def work(dataset: str) -> None:
    """Builds the shards."""
    build(block("datasets", dataset, Dataset), dataset)


if __name__ == "__main__":
    enter("resize", work)
