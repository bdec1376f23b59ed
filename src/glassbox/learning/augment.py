"""Augmentation as one affine transformation an image: its parameters are drawn, then applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params import Augmentation


class Affines(NamedTuple):
    """Drawn parameters of N transformations, each (N,).

    Attributes:
        flip: bool, whether left and right change places.
        shift_y: Downward shift as a share of the height.
        shift_x: Shift to the right as a share of the width.
        rotation: Counter-clockwise rotation in degrees.
        shear: Shear angle in degrees.
        zoom_y: Factor of the height; above one enlarges.
        zoom_x: Factor of the width.
    """

    flip: NDArray[np.bool_]
    shift_y: NDArray[np.float64]
    shift_x: NDArray[np.float64]
    rotation: NDArray[np.float64]
    shear: NDArray[np.float64]
    zoom_y: NDArray[np.float64]
    zoom_x: NDArray[np.float64]


def draw(augmentation: Augmentation, images: int, seed: tuple[int, ...]) -> Affines:
    """Draws the parameters for some images; the same seed draws the same ones.

    Args:
        augmentation: The ranges.
        images: How many.
        seed: What the draw depends on: the experiment's seed, the purpose and the epoch.
    """
    uniform = np.random.default_rng(seed).uniform(-1.0, 1.0, (7, images))
    return Affines(
        flip=(uniform[0] < 0) & augmentation.horizontal_flip,
        shift_y=uniform[1] * augmentation.shift,
        shift_x=uniform[2] * augmentation.shift,
        rotation=uniform[3] * augmentation.rotation,
        shear=uniform[4] * augmentation.shear,
        zoom_y=1.0 + uniform[5] * augmentation.zoom,
        zoom_x=1.0 + uniform[6] * augmentation.zoom,
    )


def matrices(affines: Affines, size: int) -> NDArray[np.float64]:
    """The transformations about the image's centre, from output to input pixels; float64 (N, 2, 3)."""
    angle, shear = np.deg2rad(affines.rotation), np.deg2rad(affines.shear)
    mirror = np.where(affines.flip, -1.0, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.empty((len(angle), 2, 2))
    # x' = mirror * (rotation @ shear @ zoom^-1) x
    linear[:, 0, 0] = mirror * cosine / affines.zoom_x
    linear[:, 0, 1] = -mirror * np.sin(angle + shear) / affines.zoom_y
    linear[:, 1, 0] = sine / affines.zoom_x
    linear[:, 1, 1] = np.cos(angle + shear) / affines.zoom_y
    centre = (size - 1) / 2
    moved_x = centre + affines.shift_x * size
    moved_y = centre + affines.shift_y * size
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
