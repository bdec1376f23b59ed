"""The errors a user can cause, each of which ends a command with one message and exit status 1."""


class GlassboxError(Exception):
    """A refusal that says what was found, what was expected and what to do next.

    Args:
        found: What was found and where, as a clause ("params.yaml: size is 'big'").
        expected: What would have been right.
        action: What the user can do next, as an imperative.
    """

    def __init__(self, found: str, expected: str, action: str) -> None:
        super().__init__(found, expected, action)
        self.found, self.expected, self.action = found, expected, action

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  next: {self.action}"


class ParamsError(GlassboxError):
    """A parameter is unknown, of the wrong type, out of range or names something that is not there."""


class ArchiveError(GlassboxError):
    """An archive is missing, damaged, or not the one that was promised."""


class CatalogError(GlassboxError):
    """The tables of an archive do not say what their layout promises."""


class ImageError(GlassboxError):
    """Too many images of an archive cannot be read."""


class SplitError(GlassboxError):
    """The asked-for question leaves a class or a fold empty."""


class ModelError(GlassboxError):
    """A model cannot be built, warmed up or trained as asked."""


class ReportError(GlassboxError):
    """The measured results on disk are not those of the experiments at hand."""


class TrackingError(GlassboxError):
    """The MLflow store cannot be used, or what it should mirror is not on disk."""
