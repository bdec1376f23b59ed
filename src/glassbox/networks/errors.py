"""Why a model cannot be made."""

from glassbox.errors import GlassboxError


class ModelError(GlassboxError):
    """A model cannot be built, warmed up or trained as asked."""
