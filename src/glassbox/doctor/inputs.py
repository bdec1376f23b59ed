"""What comes from elsewhere: archives, Kaggle's credentials, initial weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.artifacts import archive
from glassbox.artifacts import weights as initial
from glassbox.doctor.finding import Finding, refused, size
from glassbox.params.sources import ArchiveSource, KaggleSource, PhantomSource
from glassbox.params.weights import FileWeights, ImagenetWeights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassbox.doctor.archives import Stock
    from glassbox.params.document import Params
    from glassbox.params.sources import AnySource

#: Keras Applications' files and their bytes, by backbone and whether the classification layers are in it.
_IMAGENET = {
    ("vgg16", False): ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", 58_889_256),
    ("resnet50", False): ("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", 94_765_736),
    ("resnet50", True): ("resnet50_weights_tf_dim_ordering_tf_kernels.h5", 102_967_424),
    ("inceptionv3", False): ("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5", 87_910_968),
    ("inceptionv3", True): ("inception_v3_weights_tf_dim_ordering_tf_kernels.h5", 96_112_376),
}


def credentials(params: Params, stocks: Mapping[str, Stock]) -> Finding:
    """Whether something must be fetched from Kaggle, and with which credentials; Kaggle is not asked."""
    name = "Kaggle credentials"
    sources = [key for key, source in params.sources.items() if isinstance(source, KaggleSource)]
    if not sources:
        return Finding(name, "ok", "not needed: no source is Kaggle's")
    if all(stocks[key].made for key in sources):
        return Finding(name, "ok", "not needed: everything is fetched")
    from glassbox.sources import kaggle

    try:
        way = kaggle.credentials()
    except kaggle.KaggleError as error:
        return refused(name, error)
    if way is None:
        action = "make a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN to it"
        return Finding(name, "problem", f"none, and {', '.join(sources)} must be fetched", action)
    return Finding(name, "ok", way)


def archives(params: Params, stocks: Mapping[str, Stock]) -> list[Finding]:
    """Where the archive of each source comes from, and whether it can."""
    return [_archive(key, source, stocks[key]) for key, source in params.sources.items()]


def _archive(key: str, source: AnySource, stock: Stock) -> Finding:
    name = f"sources.{key}"
    if stock.made:
        return Finding(name, "ok", f"{archive.path(key)} is there")
    if stock.fault:
        return refused(name, stock.fault)
    if isinstance(source, PhantomSource):
        return Finding(name, "ok", f"generated here, about {stock.images:,} films")
    bulk = "unknown size" if stock.bytes is None else size(stock.bytes)
    if isinstance(source, ArchiveSource):
        return Finding(name, "ok", f"{source.path}: {bulk}, {stock.images:,} images")
    return Finding(name, "ok", f"to be fetched: kaggle:{source.ref} version {source.version}, {bulk}")


def weights(params: Params) -> list[Finding]:
    """Whether the initial weights that are not made here are there."""
    findings = []
    for key, settings in params.weights.items():
        name = f"weights.{key}"
        if (made := initial.folder(key) / initial.FILE).is_file():
            findings.append(Finding(name, "ok", f"{made} is there"))
        elif isinstance(settings, ImagenetWeights):
            findings.append(_imagenet(name, settings))
        elif isinstance(settings, FileWeights):
            findings.append(_file(name, settings.path))
    return findings


def _imagenet(name: str, settings: ImagenetWeights) -> Finding:
    file, size_in_bytes = _IMAGENET[settings.backbone, settings.top]
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    cached = home / "models" / file
    if cached.is_file():
        return Finding(name, "ok", f"{cached} is there")
    return Finding(name, "ok", f"to be fetched by Keras, {size(size_in_bytes)}")


def _file(name: str, path: Path) -> Finding:
    if not path.is_file():
        return Finding(name, "problem", f"there is no file {path}", f"put it there, or correct {name}.path")
    return Finding(name, "ok", f"{path}: {size(path.stat().st_size)}")
