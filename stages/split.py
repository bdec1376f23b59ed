"""Select, label, split and balance the images of one split, patient-aware."""

from glassbox.doors import enter
from glassbox.selection.split import build

if __name__ == "__main__":
    enter("split", build, "splits")
