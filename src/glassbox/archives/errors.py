"""Why an archive cannot be used."""

from glassbox.errors import GlassboxError


class ArchiveError(GlassboxError):
    """An archive is missing, damaged, or not the one that was promised."""
