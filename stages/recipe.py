"""Resolve one experiment: everything that its parameters imply, one file a stage that follows."""

from glassbox.recipes import write
from glassbox.stage import enter

if __name__ == "__main__":
    enter("recipe", write)
