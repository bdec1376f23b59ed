"""Generated films: who is in a cohort like NIH's ChestX-ray14, what they have, and how their films look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from glassbox.params.read import ParamsError
from glassbox.phantoms import anatomy, findings
from glassbox.phantoms.findings import FINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glassbox.params.sources import PhantomSource

#: Share of ill people; with it NIH's shares of findings leave NIH's share of films (54 %) without any.
_ILL = 0.67
#: Probability that a finding, or its absence, is simply that of the patient's film before.
_PERSISTENCE = 0.35
#: Share of patients, and so about of films, in the official test list (NIH: 22.8 % of films).
_TEST = 0.228
#: Steps of the two-dimensional sequence of low discrepancy by Roberts (powers of 1 / 1.3247...), times 2^32.
_STEPS = (3_242_174_889, 2_447_445_414)
_MOST_FILMS = 30
#: Width, height and pixel spacing in mm of the originals, as common in NIH.
_ORIGINALS = (
    (2500, 2048, "0.168"),
    (2048, 2500, "0.168"),
    (2992, 2991, "0.14300000000000002"),
    (2992, 2991, "0.143"),
    (2500, 2048, "0.171"),
    (3056, 2544, "0.139"),
)
#: First keys of random numbers, so that what a patient is, has and shows are drawn apart.
_PATIENT, _BODY, _FILM, _PLACE, _GRAIN, _READER = range(6)
_BAND_PIXELS = 32_768
#: Side of the raster on which boxes are found, whatever the film's.
_BOX_RASTER = 128


class Box(NamedTuple):
    """What a radiologist framed: the corner and the size, in pixels of the film."""

    finding: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Film:
    """One film of the cohort that a seed makes."""

    image_id: str  #: NIH's `Image Index`, the file's name: "00000001_000.png".
    patient: int  #: Number of the patient.
    follow_up: int  #: Number of the film among the patient's, from 0.
    findings: tuple[str, ...]  #: In the order of `FINDINGS`; empty where there are none.
    age: int  #: On this film, in years.
    first_age: int  #: On the patient's first film, in years.
    sex: str  #: M or F.
    view: str  #: PA or AP.
    official_split: str  #: "train_val" or "test"; the same for all of a patient's films.
    #: Its width, height and pixel spacing in mm, as `Data_Entry_2017.csv` states them.
    original: tuple[int, int, str]
    seed: int


def cohort(source: PhantomSource) -> list[Film]:
    """The films of a source in the order of patients and follow-ups; a patient's depend on no other's.

    Raises:
        ParamsError: `prevalence` names a finding that NIH does not have.
    """
    if unknown := sorted(set(source.prevalence) - set(FINDINGS)):
        raise ParamsError(
            f"prevalence of a phantom source names {', '.join(unknown)}",
            f"findings of NIH: {', '.join(FINDINGS)}",
            "correct the name in the source's `prevalence`",
        )
    prevalence = {name: finding.share for name, finding in FINDINGS.items()} | source.prevalence
    numbers = range(source.first_patient, source.first_patient + source.patients)
    return [film for number in numbers for film in _films_of(number, source.seed, prevalence)]


def _films_of(patient: int, seed: int, prevalence: dict[str, float]) -> Iterator[Film]:
    count, test = _count_and_split(seed, patient)
    random = anatomy.generator(_PATIENT, seed, patient)
    sex = "M" if random.random() < 0.565 else "F"
    age = first_age = int(anatomy.between(random, 5, 48) + anatomy.between(random, 0, 43))
    ill_share = max(_ILL, *prevalence.values())
    ill: bool | None = None
    has: dict[str, bool] = {}
    bed = 0.0
    for follow_up in range(count):
        ill = _state(random, ill_share, before=ill)
        has = {
            finding: _state(random, prevalence[finding] / ill_share, before=has.get(finding))
            for finding in FINDINGS
        }
        found = tuple(finding for finding in FINDINGS if ill and has[finding])
        if follow_up == 0 or random.random() < 0.4:
            bed = random.random()
        age += int(random.random() < 0.25)
        yield Film(
            image_id=f"{patient:08d}_{follow_up:03d}.png",
            patient=patient,
            follow_up=follow_up,
            findings=found,
            age=age,
            first_age=first_age,
            sex=sex,
            # In NIH 35 % of the films without a finding are AP, and 46 % of the others.
            view="AP" if bed < (0.46 if found else 0.35) else "PA",
            official_split="test" if test else "train_val",
            original=_ORIGINALS[random.integers(0, len(_ORIGINALS))],
            seed=seed,
        )


def _state(random: np.random.Generator, share: float, *, before: bool | None) -> bool:
    """A state on a film: that of the film before, or drawn anew, so that it has its share on every film."""
    keep, new = random.random(), random.random()
    return before if before is not None and keep < _PERSISTENCE else new < share


def _count_and_split(seed: int, patient: int) -> tuple[int, bool]:
    """How many films a patient has, and whether they are in the test list.

    P(at least k films) = 0.87 / k up to 30: 0.44, 0.29 and 0.08 for k of 2, 3 and 11, where NIH has 0.43,
    0.30 and 0.07; the mean is NIH's 3.6, its tail to 184 films is not followed. The numbers are not drawn but
    taken from a sequence of low discrepancy, so that a small cohort too has this skew and this share of test
    films.
    """
    starts = anatomy.generator(_PATIENT, seed).integers(0, 1 << 32, 2)
    first, second = ((int(start) + step * patient) % (1 << 32) for start, step in zip(starts, _STEPS, strict=True))
    count = int(0.87 * (1 << 32) / (first + 1))
    return min(max(count, 1), _MOST_FILMS), second < _TEST * (1 << 32)


def _lesions(film: Film) -> tuple[findings.Lesion, ...]:
    return tuple(
        findings.lesion(finding, film.follow_up, _PLACE, film.seed, film.patient, index)
        for index, finding in enumerate(FINDINGS)
        if finding in film.findings
    )


def _build(film: Film, lesions: tuple[findings.Lesion, ...]) -> tuple[anatomy.Shape, anatomy.Pose]:
    """The patient's chest as it is on this film."""
    shape = anatomy.shape(anatomy.generator(_BODY, film.seed, film.patient), film.sex, film.first_age)
    random = anatomy.generator(_FILM, film.seed, film.patient, film.follow_up)
    # How deeply the patient breathed in; in bed less, with the heart nearer to the tube and so larger.
    breath = anatomy.between(random, -0.035, 0.035) - 0.03 * (film.view == "AP")
    shape = replace(
        shape,
        domes=(shape.domes[0] + breath, shape.domes[1] + breath),
        heart=shape.heart * (1.12 if film.view == "AP" else 1.0),
    )
    return findings.reshape(shape, lesions), anatomy.pose(random, film.view)


def render(film: Film, size: int) -> np.ndarray:
    """Renders a film: uint8 (size, size), 0 to 255, the patient's right on the left."""
    lesions = _lesions(film)
    shape, pose = _build(film, lesions)
    field = np.empty((size, size))
    # In bands that stay in a processor's cache.
    height = max(1, _BAND_PIXELS // size)
    for top in range(0, size, height):
        band = slice(top, min(top + height, size))
        chest = anatomy.Chest(shape, pose, size, band)
        field[band] = chest.attenuation()
        for lesion in lesions:
            if change := FINDINGS[lesion.finding].change:
                field[band] += change(lesion, chest)
    return anatomy.develop(field, pose, anatomy.generator(_GRAIN, film.seed, film.patient, film.follow_up))


def boxes(film: Film, size: int) -> tuple[Box, ...]:
    """A radiologist's boxes around a film's findings, of those that NIH's radiologists boxed.

    They lie inside the film of `size` pixels a side and follow what is visible, with an unsteady hand.
    """
    lesions = _lesions(film)
    chest = anatomy.Chest(*_build(film, lesions), _BOX_RASTER, slice(0, _BOX_RASTER))
    pixel = size / _BOX_RASTER
    framed = []
    for index, lesion in enumerate(lesions):
        if not FINDINGS[lesion.finding].box_name or not (edges := findings.bounds(lesion, chest)):
            continue
        hand = anatomy.generator(_READER, film.seed, film.patient, film.follow_up, index)
        left, top, right, bottom = (
            min(max((edge + anatomy.between(hand, -0.5, 0.5)) * pixel, 0.0), float(size)) for edge in edges
        )
        framed.append(Box(lesion.finding, left, top, right - left, bottom - top))
    return tuple(framed)
