"""Augmentation: the variation of each image is drawn, then applied, so that every one can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from skimage.filters import sobel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params.experiments import Augmentation


class Variations(NamedTuple):
    """Drawn parameters of N variations, each (N,)."""

    horizontal_flip: NDArray[np.bool_]  # left and right change places
    vertical_flip: NDArray[np.bool_]  # top and bottom change places
    shift_y: NDArray[np.float64]  # downwards, as a share of the height
    shift_x: NDArray[np.float64]  # to the right, as a share of the width
    rotation: NDArray[np.float64]  # counter-clockwise, in degrees
    shear: NDArray[np.float64]  # an angle in degrees
    zoom_y: NDArray[np.float64]  # a factor of the height: above one enlarges
    zoom_x: NDArray[np.float64]  # a factor of the width
    brightness: NDArray[np.float64]  # a factor of the grey levels
    edges: NDArray[np.float64]  # the share of the image's edges that is blended in

    def some(self, chosen: slice | NDArray[np.int64]) -> Variations:
        """The variations at some positions."""
        return self._replace(**{name: values[chosen] for name, values in self._asdict().items()})


def draw(augmentation: Augmentation, images: int, seed: tuple[int, ...]) -> Variations:
    """Draws the parameters for some images; the same seed draws the same ones.

    Args:
        augmentation: The ranges.
        images: How many.
        seed: What the draw depends on: the experiment's seed, the purpose and the pass over the fold.
    """
    uniform = np.random.default_rng(seed).uniform(-1.0, 1.0, (10, images))
    return Variations(
        horizontal_flip=(uniform[0] < 0) & augmentation.horizontal_flip,
        shift_y=uniform[1] * augmentation.shift,
        shift_x=uniform[2] * augmentation.shift,
        rotation=uniform[3] * augmentation.rotation,
        shear=uniform[4] * augmentation.shear,
        zoom_y=1.0 + uniform[5] * augmentation.zoom,
        zoom_x=1.0 + uniform[6] * augmentation.zoom,
        vertical_flip=(uniform[7] < 0) & augmentation.vertical_flip,
        brightness=1.0 + uniform[8] * augmentation.brightness,
        edges=np.abs(uniform[9]) * augmentation.edges,
    )


def apply(images: NDArray[np.uint8], variations: Variations) -> NDArray[np.uint8]:
    """Varies each image as drawn: moved, then brighter or darker, then its edges highlighted.

    Args:
        images: uint8 (N, size, size).
        variations: N of them.

    Returns:
        uint8 (N, size, size); what is drawn as nothing leaves an image as it is.
    """
    varied = warp(images, matrices(variations, images.shape[1]))
    for image, factor, share in zip(varied, variations.brightness, variations.edges, strict=True):
        if factor != 1.0:
            image[:] = brightened(image, factor)
        if share:
            image[:] = highlighted(image, share)
    return varied


def brightened(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Grey levels times a factor, rounded, at most 255; uint8 as `image`."""
    levels = np.minimum(np.rint(np.arange(256) * factor), 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, levels))


def highlighted(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Blends an image with its edges, a `share` of them to the rest of itself; uint8 as `image`.

    The edges are Sobel's gradient magnitude, from 0 to 255.
    """
    edges: NDArray[np.float32] = sobel(image.astype(np.float32) / 255) * 255
    return np.asarray(np.rint((1 - share) * image + share * edges).clip(0, 255), np.uint8)


def matrices(variations: Variations, size: int) -> NDArray[np.float64]:
    """The transformations about the image's centre, from output to input pixels; float64 (N, 2, 3)."""
    angle, shear = np.deg2rad(variations.rotation), np.deg2rad(variations.shear)
    mirror = np.where(variations.horizontal_flip, -1.0, 1.0)
    upside = np.where(variations.vertical_flip, -1.0, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.empty((len(angle), 2, 2))
    # x' = mirrors * (rotation @ shear @ zoom^-1) x
    linear[:, 0, 0] = mirror * cosine / variations.zoom_x
    linear[:, 0, 1] = -mirror * np.sin(angle + shear) / variations.zoom_y
    linear[:, 1, 0] = upside * sine / variations.zoom_x
    linear[:, 1, 1] = upside * np.cos(angle + shear) / variations.zoom_y
    centre = (size - 1) / 2
    moved_x = centre + variations.shift_x * size
    moved_y = centre + variations.shift_y * size
    offset = np.empty((len(angle), 2, 1))
    offset[:, 0, 0] = centre - linear[:, 0, 0] * moved_x - linear[:, 0, 1] * moved_y
    offset[:, 1, 0] = centre - linear[:, 1, 0] * moved_x - linear[:, 1, 1] * moved_y
    return np.concatenate([linear, offset], axis=2)


def warp(images: NDArray[np.uint8], transformations: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Applies one transformation to each image, bilinearly; the border's nearest pixel fills what opens.

    Args:
        images: uint8 (N, size, size).
        transformations: float64 (N, 2, 3), as `matrices` gives them.
    """
    warped = np.empty_like(images)
    for image, transformation, target in zip(images, transformations, warped, strict=True):
        cv2.warpAffine(
            image,
            transformation,
            image.shape[::-1],
            dst=target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return warped
