"""MLflow's model registry: a model under its experiment's name, with an alias and its hashes."""

from __future__ import annotations

import re

from glassbox.artifacts import model
from glassbox.errors import GlassboxError
from glassbox.tracking.model import SHA256_TAG
from glassbox.tracking.run import restore
from glassbox.tracking.store import alone, open_store, refusing

#: What MLflow takes for an alias: not the name of a version (`v3`), nor `latest`.
_ALIAS = re.compile(r"(?!(?:v\d+|latest)$)[A-Za-z0-9_-]+", re.IGNORECASE)


def promote(experiment: str, alias: str) -> str:
    """Registers the model that is on disk, and gives it an alias, which another version may have had.

    A model that is registered already gets no second version.

    Args:
        experiment: Key of the experiment, and the name of the registered model.
        alias: As in `models:/<experiment>@<alias>`.

    Returns:
        What was done, in a line.

    Raises:
        GlassboxError: The alias is none.
        ArtifactError: There is no whole model on disk.
        TrackingError: The store cannot be used.
    """
    if not _ALIAS.fullmatch(alias):
        raise GlassboxError(
            f"alias {alias!r}",
            "letters, digits, - and _, other than latest and names of versions (v3)",
            "name it champion, say",
        )
    run_id, _ = restore(experiment)
    lineage = model.read_lineage(experiment)
    store = open_store()
    with refusing(), alone():
        client = store.client
        logged = client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
        held = next(entry for entry in logged if entry.tags.get(SHA256_TAG) == lineage.model_sha256)
        if not client.search_registered_models(f"name = '{experiment}'"):
            client.create_registered_model(experiment)
        versions = client.search_model_versions(f"name = '{experiment}'")
        known = next((one for one in versions if one.tags.get(SHA256_TAG) == lineage.model_sha256), None)
        version = known or client.create_model_version(
            experiment,
            source=f"models:/{held.model_id}",
            run_id=run_id,
            model_id=held.model_id,
            tags={SHA256_TAG: lineage.model_sha256, "glassbox.fingerprint": lineage.fingerprint},
        )
        client.set_registered_model_alias(experiment, alias, version.version)
    return f"models:/{experiment}@{alias} is version {version.version}, sha256 {lineage.model_sha256}"
