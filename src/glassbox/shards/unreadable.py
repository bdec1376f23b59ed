"""Why an image is left out."""


class UnreadableImageError(ValueError):
    """The bytes are no whole image of a kind that is read; the text says why, for `rejected.parquet`."""
