"""Resize the images of one dataset into HDF5 shards, in parallel with Dask."""

from glassbox.doors import enter
from glassbox.shards.build import build

if __name__ == "__main__":
    enter("resize", build, "datasets")
