"""A source at a size: what its shards hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from glassbox.params.base import Frozen, Key, Share

Method = Literal["area", "article"]


class Dataset(Frozen):
    """A source at a size."""

    source: Key
    #: Width and height of the stored images in pixels.
    size: Annotated[int, Field(ge=16, le=2048)]
    #: How images are scaled: by the mean over areas, or as the 2018 article's script did.
    method: Method = "area"
    #: About how many images are in one shard, which is one task of the cluster: from half to half as many again.
    shard_images: PositiveInt = 256
    #: Share of the images that may be unreadable before the stage fails.
    rejected_share: Share = 0.001
