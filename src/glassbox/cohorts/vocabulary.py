"""The words of each cohort: its findings, and its word for the absence of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from glassbox.params import Layout


class Vocabulary(NamedTuple):
    """The findings a cohort knows, and what it calls an image without any."""

    findings: tuple[str, ...]
    absence: str


#: Wang et al. 2017, as `Data_Entry_2017.csv` spells them.
NIH = Vocabulary(
    (
        "Atelectasis",
        "Cardiomegaly",
        "Consolidation",
        "Edema",
        "Effusion",
        "Emphysema",
        "Fibrosis",
        "Hernia",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pleural_Thickening",
        "Pneumonia",
        "Pneumothorax",
    ),
    "No Finding",
)
#: Kermany et al. 2018.
KERMANY = Vocabulary(("Pneumonia",), "Normal")
VOCABULARIES: dict[Layout, Vocabulary] = {"nih": NIH, "kermany": KERMANY}
