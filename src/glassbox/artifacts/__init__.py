"""What passes between stages: one module a kind of file, with its schema, its place, its reader and its writer.

Every reader raises `damage.ArtifactError` where its file is missing, cannot be read, is not what was written, or
is another file than the one asked for. The message names the file, what is wrong with it, the stage that makes it,
and the command that brings it back.

What few stages need has a module of its own, so that another line of it makes no other stage run again: Kaggle's
settings, which `experiment` reads, train no model anew.
"""
