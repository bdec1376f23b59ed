"""A `.keras` file that is the same bytes for the same model."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.files import atomic
from glassbox.networks.errors import ModelError

if TYPE_CHECKING:
    import keras

#: The earliest date a zip can hold.
_DATE = (1980, 1, 1, 0, 0, 0)


def save(model: keras.Model, path: Path) -> None:
    """Saves a model without its optimiser's state, and without what differs from one process to the next.

    Keras stores the zip's dates, the date of saving, and object ids that are memory addresses; the weights
    are the same bytes anyway.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved, include_optimizer=False)
        with zipfile.ZipFile(saved) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
    ids: dict[int, int] = {}

    def normalise(found: dict[str, Any]) -> dict[str, Any]:
        """Fixes the date of saving, and numbers shared objects as they first appear."""
        if "date_saved" in found:
            found["date_saved"] = "1980-01-01@00:00:00"
        if found.get("shared_object_id") is not None:
            found["shared_object_id"] = ids.setdefault(found["shared_object_id"], len(ids) + 1)
        return found

    for name, stored in members.items():
        if name.endswith(".json"):
            members[name] = json.dumps(json.loads(stored, object_hook=normalise), sort_keys=True).encode()
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)


def load(path: Path) -> keras.Model:
    """A model from a file that `save` wrote, without its optimiser.

    Raises:
        ModelError: Keras cannot read it, be it of another version of Keras or with code in it.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # noqa: BLE001 (Keras lets through whatever its layers and h5py raise)
        raise ModelError(
            f"{path} cannot be loaded: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            f"a model that Keras {keras.__version__} reads",
            "run `uv sync`, or train it anew",
        ) from None
