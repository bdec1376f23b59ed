"""Resolve one experiment: everything that its parameters imply, one file a stage that follows."""

from glassbox.doors import enter
from glassbox.recipes import write

if __name__ == "__main__":
    enter("recipe", write)
