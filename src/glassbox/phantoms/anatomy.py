"""A chest as an X-ray shows it: a patient's shape, posed for a film, as fields of attenuation.

Every field is made of additions, multiplications, divisions, square roots and comparisons of float64, which
IEEE 754 rounds in one way: there is no exponential, power or sine, whose last bit differs between processors,
and no sum over pixels, whose order does.

Lengths are in half widths of the film: x runs from -1 (the patient's right, the left of the film) to 1, and y
from -1 (top) to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: A value for each pixel of a film or of a band of it: float64 (rows, size).
Field = npt.NDArray[np.float64]

RIGHT, LEFT = -1, 1


def generator(*key: int) -> np.random.Generator:
    """The random numbers of a key: independent of every other key's, and the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def between(random: np.random.Generator, low: float, high: float) -> float:
    """A number drawn uniformly from [low, high)."""
    return low + (high - low) * float(random.random())


@dataclass(frozen=True)
class Shape:
    """What a patient looks like on every film."""

    width: float  #: Largest distance of a lung's outer edge from the midline.
    apex: float  #: y of the tops of the lungs.
    domes: tuple[float, float]  #: y of the tops of the right and left diaphragm.
    dome_depth: float  #: How far they fall to their edges.
    mediastinum: float  #: Half width of the column between the lungs.
    heart: float  #: Half width of the heart.
    heart_x: float  #: x of its centre.
    ribs: float  #: Distance between ribs.
    rib_phase: float  #: Where the first one lies, in such distances.
    thickness: float  #: Attenuation of the chest wall, about 1.
    air: float  #: How transparent the lungs are, about 1.
    breast: float  #: Attenuation of the breast shadows; 0 for men.
    knob: float  #: Radius of the aortic knob.
    stomach: float  #: Radius of the air bubble under the left diaphragm.
    texture: int  #: Seed of the vessels' pattern.


@dataclass(frozen=True)
class Pose:
    """How a patient stood, and how the film was exposed."""

    scale: float  #: Magnification, about 1.
    shift: tuple[float, float]  #: x and y by which the patient is off the centre.
    tilt: float  #: Slope of the patient's axis (the tangent of a small angle).
    exposure: float  #: Attenuation that is shown as half of the grey scale.
    contrast: float  #: Slope of the grey scale, about 1.
    grain: float  #: Standard deviation of the noise in grey levels.


def shape(random: np.random.Generator, sex: str, age: int) -> Shape:
    """Draws a patient of a sex (M or F) and age in years."""
    dome = between(random, 0.36, 0.52)
    female = sex == "F"
    return Shape(
        width=between(random, 0.68, 0.80) - 0.03 * female,
        apex=between(random, -0.84, -0.72),
        domes=(dome - between(random, 0.01, 0.07), dome),
        dome_depth=between(random, 0.14, 0.24),
        mediastinum=between(random, 0.11, 0.16),
        heart=between(random, 0.28, 0.345),
        heart_x=between(random, 0.08, 0.15),
        ribs=between(random, 0.145, 0.18),
        rib_phase=between(random, 0.0, 1.0),
        thickness=between(random, 0.9, 1.12),
        air=between(random, 0.93, 1.05),
        breast=between(random, 0.04, 0.13) if female else 0.0,
        knob=between(random, 0.06, 0.09) + 0.0006 * age,
        stomach=max(0.0, between(random, -0.10, 0.13)),
        texture=int(random.integers(0, 1 << 32)),
    )


def pose(random: np.random.Generator, view: str) -> Pose:
    """Draws how a film in a view (PA or AP) was taken: AP films are of people in bed, and vary more."""
    loose = 1.5 if view == "AP" else 1.0
    return Pose(
        scale=between(random, 0.95, 1.06),
        shift=(loose * between(random, -0.045, 0.045), loose * between(random, -0.05, 0.05)),
        tilt=loose * between(random, -0.04, 0.04),
        exposure=between(random, 0.62, 0.80) - 0.04 * (view == "AP"),
        contrast=between(random, 0.85, 1.2) - 0.1 * (view == "AP"),
        grain=between(random, 1.5, 4.0),
    )


def ramp(distance: Field, softness: float) -> Field:
    """An edge: 0 to 1 as `distance` runs from -softness / 2 to softness / 2, without a kink."""
    t = distance * (1.0 / softness)
    t += 0.5
    np.maximum(t, 0.0, out=t)
    np.minimum(t, 1.0, out=t)
    slope = -2.0 * t
    slope += 3.0
    t *= t
    t *= slope
    return t


def _ellipse(across: Field, down: Field, half: float, softness: float) -> Field:
    """1 inside an ellipse, 0 outside; `across` and `down` are in its half axes, one of which is `half`."""
    return ramp((1.0 - np.sqrt(across * across + down * down)) * half, softness)


class Chest:
    """A shape in a pose, as float64 fields (rows, size): a band of the film, or all of it.

    Attributes:
        rows, size: The rows of the film, and the film's width and height in pixels.
        x, y: The patient's own coordinates at each pixel.
        away: Distance from the midline.
        outer: Distance of the lung's outer edge from the midline, at each pixel's height.
        floor: y of the diaphragm, at each pixel's distance from the midline.
        heart: 0 to 1, without the vessels above it.
        lung: 0 to 1, without what the heart, the aorta and the mediastinum hide.
        vessels: Attenuation of the vessels in the lungs.
    """

    def __init__(self, form: Shape, stance: Pose, size: int, rows: slice) -> None:
        self.shape, self.pose, self.size, self.rows = form, stance, size, rows
        line = (np.arange(size) * 2 + (1 - size)) * (1.0 / size)
        u = (line[None, :] - stance.shift[0]) * (1.0 / stance.scale)
        v = (line[rows, None] - stance.shift[1]) * (1.0 / stance.scale)
        self.x, self.y = u + stance.tilt * v, v - stance.tilt * u
        self.away = np.abs(self.x)
        t = np.clip((self.y - form.apex) * (1.0 / 1.15), 0.0, 1.0)
        self.outer = 0.22 + (form.width - 0.22) * np.sqrt(t * (2.0 - t))
        t = (self.away - 0.36) * (1.0 / 0.40)
        self.floor = np.where(self.x < 0.0, *form.domes) + form.dome_depth * t * t
        self.heart = self._heart()
        # The mediastinum is widest at its foot and, above the lungs' roots, at the neck.
        t = np.clip((self.y + 0.25) * (1.0 / 0.6), -1.0, 1.0)
        column = ramp(self.away - form.mediastinum * (0.82 + 0.28 * t * t), 0.05)
        knob = self.disc(0.10, -0.36, form.knob, 1.2 * form.knob, 0.04)
        self.lung = self.cavity() * column * (1.0 - 0.93 * np.maximum(self.heart, knob))
        self.vessels = self._vessels()

    def cavity(self, inset: float = 0.0) -> Field:
        """The space of the lungs, 0 to 1, its outer edge and top moved in by `inset`."""
        inside = ramp(self.outer - inset - self.away, 0.045) * ramp(self.floor - self.y, 0.04)
        return inside * ramp(self.y - self.shape.apex - inset, 0.05)

    def blob(self, x: float, y: float, width: float, height: float) -> Field:
        """A cloud: 1 at (x, y), falling smoothly to 0 at the ellipse of the given half axes."""
        across, down = (self.x - x) * (1.0 / width), (self.y - y) * (1.0 / height)
        t = np.maximum(1.0 - (across * across + down * down), 0.0)
        return t * t

    def disc(self, x: float, y: float, width: float, height: float, softness: float) -> Field:
        """An ellipse of the given half axes: 1 inside, 0 outside, its edge as soft as given."""
        across, down = (self.x - x) * (1.0 / width), (self.y - y) * (1.0 / height)
        return _ellipse(across, down, min(width, height), softness)

    def noise(self, random: np.random.Generator, cells: int) -> Field:
        """Smooth noise in [0, 1) that changes over 1 / cells of the film's side."""
        lattice = random.random((cells + 2, cells + 2))
        at = (np.arange(self.size) + 0.5) * (cells / self.size)
        cell = at.astype(np.intp)
        t = at - cell
        t = t * t * (3.0 - 2.0 * t)
        above, part = cell[self.rows], t[self.rows, None]
        band = lattice[above] + (lattice[above + 1] - lattice[above]) * part
        smooth: Field = band[:, cell] + (band[:, cell + 1] - band[:, cell]) * t
        return smooth

    def _heart(self) -> Field:
        form = self.shape
        middle = min(form.domes) - 0.62 * form.heart
        # Sheared: the apex of the heart points down to the patient's left.
        across = (self.x - form.heart_x - 0.22 * (self.y - middle)) * (1.0 / form.heart)
        down = (self.y - middle - 0.18 * (self.x - form.heart_x)) * (1.0 / (0.92 * form.heart))
        return _ellipse(across, down, form.heart, 0.05)

    def _vessels(self) -> Field:
        """Streaks that leave the lungs' roots, thinning outwards."""
        across, down = (self.away - 0.12) * (1.0 / 0.66), (self.y + 0.04) * (1.0 / 0.80)
        radius = np.sqrt(across * across + down * down + 1e-4)
        # The place along a streak is the radius; the streak goes by the direction's sine, which needs no
        # arctangent. The two lungs have patterns of their own.
        lattice = generator(self.shape.texture).random(2 * 8 * 32)
        along = np.minimum(radius * 5.0, 6.0)
        turn = (down / radius + 1.0) * 14.0 + 1.5 * across * down + 1.0
        ring, ray = along.astype(np.intp), turn.astype(np.intp)
        along -= ring
        turn -= ray
        cell = 32 * (8 * (self.x > 0.0) + ring) + ray
        near, far = lattice[cell], lattice[cell + 32]
        near += (lattice[cell + 1] - near) * turn
        far += (lattice[cell + 33] - far) * turn
        streak = np.maximum(near + (far - near) * along - 0.45, 0.0)
        streak *= np.maximum(1.2 - radius, 0.0) * np.minimum(4.0 * radius, 1.0)
        root = np.maximum(1.0 - 2.6 * radius, 0.0)
        vessels: Field = (0.45 * streak + 0.30 * root * root) * self.lung
        return vessels

    def attenuation(self) -> Field:
        """The healthy chest: about 0 outside the body, 0.4 in a lung, 1 in the heart, 1.3 below it."""
        form = self.shape
        wall = ramp(self.outer + 0.13 - self.away, 0.10)
        # Shoulders and upper arms reach the film's edge; further down there is air beside the chest.
        arms = 0.82 * ramp(0.25 + 1.1 * (self.away - 0.8) - self.y, 0.9) * ramp(1.12 - self.away, 0.35)
        body = np.maximum(0.96 * wall, arms) * ramp(self.y + 0.98 - 0.40 * self.away, 0.14)
        body = np.maximum(body, 0.76 * ramp(0.25 - self.away, 0.16)) * form.thickness
        below = ramp(self.y - self.floor, 0.04) * wall
        field = (
            body - 0.60 * form.air * self.lung + (0.16 + 0.14 * (self.y - self.floor)) * below + 0.10 * self.heart
        )
        field += self.vessels + self._bones()
        if form.breast:
            across, down = (self.away - 0.42) * (1.0 / 0.36), (self.y - 0.22) * (1.0 / 0.34)
            field += form.breast * _ellipse(across, down, 0.34, 0.12) * wall
        if form.stomach > 0.03:
            bubble = self.disc(0.36, form.domes[1] + 0.13, 1.4 * form.stomach, form.stomach, 0.05)
            field -= 0.30 * bubble * below
        return field

    def _bones(self) -> Field:
        form = self.shape
        spine = ramp(0.075 - self.away, 0.03)
        t = self.y * 9.0 + form.rib_phase
        t = np.abs(t - np.floor(t) - 0.5)
        field = spine * (0.06 + 0.08 * ramp(t - 0.12, 0.16))
        trachea = ramp(0.045 - np.abs(self.x), 0.04) * ramp(-0.28 - self.y, 0.12)
        field -= 0.22 * trachea

        cage = ramp(self.outer + 0.03 - self.away, 0.03) * ramp(self.away - 0.07, 0.04)
        cage = cage * ramp(self.y - form.apex + 0.06, 0.06) * ramp(self.floor + 0.22 - self.y, 0.3)
        bend = self.away - 0.22
        behind = (self.y - 0.75 * bend * bend) * (1.0 / form.ribs) + form.rib_phase
        before = (self.y + 0.10 - 0.62 * (0.75 - self.away)) * (1.0 / (1.18 * form.ribs)) + form.rib_phase
        rear = np.abs(behind - np.floor(behind) - 0.5)
        front = np.abs(before - np.floor(before) - 0.5)
        field += cage * (0.10 * ramp(0.20 - rear, 0.12) + 0.045 * ramp(0.17 - front, 0.14))

        arch = self.away - 0.42
        line = np.abs(self.y - (form.apex + 0.16) + 0.24 * arch - 0.35 * arch * arch)
        return field + 0.19 * ramp(0.034 - line, 0.03) * ramp(self.away - 0.09, 0.05) * ramp(
            0.82 - self.away, 0.08
        )


def develop(attenuation: Field, stance: Pose, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Attenuation as a film shows it, uint8: bright where much is absorbed, with the film's grain.

    The response saturates, as film does. The grain is made of whole random numbers and added before the one
    rounding.
    """
    t = np.maximum(attenuation, 0.0) * (1.0 / stance.exposure) - 1.0
    t = 0.5 + stance.contrast * 0.62 * t / np.sqrt(1.0 + 0.55 * t * t)
    grains = random.integers(0, 256, (4, *attenuation.shape), dtype=np.uint8).sum(axis=0, dtype=np.int16)
    # The sum of four uniform bytes has a standard deviation of 147.8.
    grey = 255.0 * t + (grains - 510) * (stance.grain / 147.8)
    film: npt.NDArray[np.uint8] = np.clip(np.rint(grey), 0.0, 255.0).astype(np.uint8)
    return film
