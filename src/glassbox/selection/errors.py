"""Why a split cannot be made."""

from glassbox.errors import GlassboxError


class SplitError(GlassboxError):
    """The asked-for question leaves a class or a fold empty."""
