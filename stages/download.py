"""Put the archive of one source at its place: one zip, tracked as one file, never unpacked."""

from glassbox.doors import enter
from glassbox.sources.archive import fetch

if __name__ == "__main__":
    enter("download", fetch, "sources")
