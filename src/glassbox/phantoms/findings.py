"""The 14 findings of NIH's ChestX-ray14: their shares, and how they change a chest's shape and attenuation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from glassbox.phantoms.anatomy import LEFT, RIGHT, generator, ramp

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.phantoms.anatomy import Chest, Field, Shape


class Lesion(NamedTuple):
    """Where a patient has a finding, and how much of it a film shows."""

    finding: str  #: One of NIH's 14.
    side: int  #: RIGHT or LEFT.
    across: float  #: Where in the lung, from the midline (0) outwards (1).
    down: float  #: From the top (0) downwards (1).
    extent: float  #: Size, 0 to 1.
    severity: float  #: How visible, 0 to 1.
    texture: int  #: Seed of its pattern.


def lesion(finding: str, follow_up: int, *key: int) -> Lesion:
    """Draws a patient's lesion: it stays in its place from film to film, its size and visibility change."""
    place, film = generator(*key), generator(*key, 1 + follow_up)
    return Lesion(
        finding,
        side=LEFT if place.random() < 0.45 else RIGHT,
        across=float(place.random()),
        down=float(place.random()),
        texture=int(place.integers(0, 1 << 32)),
        extent=float(film.random()),
        severity=float(film.random()),
    )


def reshape(shape: Shape, lesions: tuple[Lesion, ...]) -> Shape:
    """The shape with what the lesions do to the heart, the diaphragm and the lungs."""
    for it in lesions:
        right, left = shape.domes
        if it.finding == "Cardiomegaly":
            shape = replace(shape, heart=shape.heart * (1.18 + 0.22 * it.severity))
        elif it.finding == "Emphysema":
            drop = 0.05 + 0.08 * it.severity
            shape = replace(
                shape,
                domes=(right + drop, left + drop),
                dome_depth=shape.dome_depth * (0.55 - 0.35 * it.severity),
                air=shape.air * (1.08 + 0.12 * it.severity),
                heart=shape.heart * 0.9,
            )
        elif it.finding == "Atelectasis":
            rise = 0.03 + 0.09 * it.extent
            domes = (right - rise, left) if it.side == RIGHT else (right, left - rise)
            shape = replace(shape, domes=domes)
    return shape


def _spot(it: Lesion, chest: Chest) -> tuple[float, float]:
    """Where a lesion that may lie anywhere in a lung lies."""
    top, bottom = chest.shape.apex + 0.22, min(chest.shape.domes) - 0.10
    y = top + (bottom - top) * it.down
    t = min(max((y - chest.shape.apex) / 1.15, 0.0), 1.0)
    outer = 0.22 + (chest.shape.width - 0.22) * (t * (2.0 - t)) - 0.10
    return it.side * (0.26 + (outer - 0.26) * it.across), y


def _half(it: Lesion, chest: Chest) -> Field:
    return (chest.x * it.side > 0.0).astype(np.float64)


def _infiltration(it: Lesion, chest: Chest) -> Field:
    x, y = _spot(it, chest)
    width, height = 0.30 + 0.14 * it.extent, 0.34 + 0.16 * it.extent
    # Seldom in one place only: the other lung has some of it too.
    cloud = chest.blob(x, y, width, height) + 0.8 * it.extent * chest.blob(-0.9 * x, 0.8 * y, width, height)
    patches = chest.noise(generator(it.texture), 15)
    fine = chest.noise(generator(it.texture, 1), 34)
    texture = np.maximum(1.5 * patches + 0.7 * fine - 0.45, 0.0)
    return (0.18 + 0.26 * it.severity) * cloud * texture * chest.lung


def _pneumonia(it: Lesion, chest: Chest) -> Field:
    lobe = chest.disc(*_spot(it, chest), 0.22 + 0.12 * it.extent, 0.20 + 0.14 * it.extent, 0.22)
    return (0.14 + 0.24 * it.severity) * lobe * chest.lung


def _consolidation(it: Lesion, chest: Chest) -> Field:
    lobe = chest.disc(*_spot(it, chest), 0.18 + 0.12 * it.extent, 0.16 + 0.12 * it.extent, 0.10)
    bronchi = np.abs(chest.noise(generator(it.texture), 12) - 0.5)
    return (0.24 + 0.22 * it.severity) * lobe * (0.55 + 0.45 * ramp(bronchi - 0.06, 0.06)) * chest.lung


def _effusion(it: Lesion, chest: Chest) -> Field:
    depth = 0.05 + 0.30 * it.extent * it.severity
    angle = chest.shape.domes[(it.side + 1) // 2] + 0.5 * chest.shape.dome_depth
    climb = np.maximum(chest.away - 0.30, 0.0)
    meniscus = angle - depth - 0.9 * climb * climb
    return (0.16 + 0.26 * it.severity) * ramp(chest.y - meniscus, 0.07) * chest.lung * _half(it, chest)


def _atelectasis(it: Lesion, chest: Chest) -> Field:
    x = it.side * (0.34 + 0.14 * it.across)
    y = chest.shape.domes[(it.side + 1) // 2] - 0.12 - 0.30 * it.down
    along = chest.x - x
    across = chest.y - y - it.side * (0.7 * it.across - 0.35) * along
    band = ramp(0.025 + 0.025 * it.extent - np.abs(across), 0.035)
    length = 0.12 + 0.10 * it.extent
    return (0.14 + 0.22 * it.severity) * band * ramp(length - np.abs(along), 0.10) * chest.lung


def _mass(it: Lesion, chest: Chest) -> Field:
    radius = 0.08 + 0.08 * it.extent
    disc = chest.disc(*_spot(it, chest), radius, radius * (0.85 + 0.3 * it.across), 0.05)
    return (0.20 + 0.25 * it.severity) * disc * chest.lung


def _nodule(it: Lesion, chest: Chest) -> Field:
    radius = 0.035 + 0.03 * it.extent
    return (0.20 + 0.28 * it.severity) * chest.disc(*_spot(it, chest), radius, radius, 0.035) * chest.lung


def _pneumothorax(it: Lesion, chest: Chest) -> Field:
    gap = 0.05 + 0.15 * it.extent
    inner = chest.cavity(gap) * ramp(chest.outer - gap - chest.away, 0.02)
    high = ramp(chest.shape.domes[0] - 0.25 - chest.y, 0.5) * _half(it, chest)
    air = (1.0 - inner) * chest.lung * high
    pleura = ramp(0.012 - np.abs(chest.outer - gap - chest.away), 0.02) * chest.lung * high
    return 0.16 * pleura - air * (0.10 + 0.12 * it.severity) - air * chest.vessels


def _thickening(it: Lesion, chest: Chest) -> Field:
    rim = chest.lung * (1.0 - chest.cavity(0.035 + 0.04 * it.extent)) * _half(it, chest)
    return (0.22 + 0.20 * it.severity) * rim * ramp(chest.floor - 0.03 - chest.y, 0.05)


def _edema(it: Lesion, chest: Chest) -> Field:
    width = 0.34 + 0.12 * it.extent
    wings = np.maximum(chest.blob(-0.27, 0.0, width, 0.55), chest.blob(0.27, 0.0, width, 0.55))
    haze = 0.75 + 0.5 * chest.noise(generator(it.texture), 10)
    return (0.14 + 0.20 * it.severity) * wings * haze * chest.lung


def _fibrosis(it: Lesion, chest: Chest) -> Field:
    mesh = np.zeros_like(chest.lung)
    for layer, cells in enumerate((18, 27)):
        ridge = np.abs(chest.noise(generator(it.texture, layer), cells) - 0.5)
        mesh += ramp(0.07 - ridge, 0.10)
    y = chest.shape.apex + 0.30 if it.down < 0.35 else min(chest.shape.domes) - 0.15
    zone = np.maximum(chest.blob(-0.45, y, 0.42, 0.42), chest.blob(0.45, y, 0.42, 0.42))
    return (0.10 + 0.16 * it.severity) * mesh * zone * chest.lung


def _hernia(it: Lesion, chest: Chest) -> Field:
    y, radius = min(chest.shape.domes) - 0.10, 0.12 + 0.07 * it.extent
    sac = chest.disc(0.06, y, radius, radius, 0.05)
    bubble = chest.disc(0.06, y - 0.3 * radius, 0.7 * radius, 0.5 * radius, 0.04)
    return 0.16 * sac - (0.22 + 0.14 * it.severity) * bubble


class Finding(NamedTuple):
    """What is known of a finding."""

    share: float  #: Of NIH's 112,120 films (`Data_Entry_2017.csv`; Wang et al. 2017 and later counts).
    box_name: str | None  #: Its name in `BBox_List_2017.csv`, or None where NIH's radiologists boxed none.
    #: What a lesion adds to a chest's attenuation; None where what changes is the shape alone.
    change: Callable[[Lesion, Chest], Field] | None


FINDINGS = {
    "Atelectasis": Finding(11_559 / 112_120, "Atelectasis", _atelectasis),
    "Cardiomegaly": Finding(2_776 / 112_120, "Cardiomegaly", None),
    "Consolidation": Finding(4_667 / 112_120, None, _consolidation),
    "Edema": Finding(2_303 / 112_120, None, _edema),
    "Effusion": Finding(13_317 / 112_120, "Effusion", _effusion),
    "Emphysema": Finding(2_516 / 112_120, None, None),
    "Fibrosis": Finding(1_686 / 112_120, None, _fibrosis),
    "Hernia": Finding(227 / 112_120, None, _hernia),
    "Infiltration": Finding(19_894 / 112_120, "Infiltrate", _infiltration),
    "Mass": Finding(5_782 / 112_120, "Mass", _mass),
    "Nodule": Finding(6_331 / 112_120, "Nodule", _nodule),
    "Pleural_Thickening": Finding(3_385 / 112_120, None, _thickening),
    "Pneumonia": Finding(1_431 / 112_120, "Pneumonia", _pneumonia),
    "Pneumothorax": Finding(5_302 / 112_120, "Pneumothorax", _pneumothorax),
}


def bounds(it: Lesion, chest: Chest) -> tuple[int, int, int, int] | None:
    """The box around what can be seen of a lesion: left, top, right, bottom in pixels, ends exclusive.

    That is where it changes the attenuation by 30 % of its strongest change or more, or the heart. None where
    the box is less than two pixels wide or high: heart or diaphragm hide the lesion.
    """
    change = FINDINGS[it.finding].change
    field = np.abs(change(it, chest)) if change else chest.heart
    if it.finding == "Infiltration":
        # Boxes do not span both lungs: the one with more of it is framed.
        field = field * _half(it, chest)
    seen = field > 0.3 * field.max()
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if len(columns) < 2 or len(rows) < 2:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
