"""Put the archive of one source at its place: one zip, tracked as one file, never unpacked."""

from glassbox.archives.download import download
from glassbox.params.read import block
from glassbox.params.sources import AnySource
from glassbox.stage import enter


def work(source: str) -> None:
    """Fetches, copies or generates it."""
    download(block("sources", source, AnySource), source)


if __name__ == "__main__":
    enter("download", work)
