"""Why results cannot be scored or shown."""

from glassbox.errors import GlassboxError


class ReportError(GlassboxError):
    """What was measured cannot be scored or shown."""
