"""How every figure looks, as a PNG file that is the same bytes for the same numbers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glassbox.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.typing import RcKeyType

DPI = 130
#: What variants are called in figures and tables.
VARIANT_NAMES = {"test_clean": "clean", "test_augmented": "augmented"}
#: A blue and an orange that colour-blind readers tell apart, and that differ in grey print too.
VARIANT_COLOURS = {"test_clean": "#1d5fa8", "test_augmented": "#d9822b"}
INK, FAINT = "#24292f", "#8c959f"

STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that letters are the same everywhere
    "font.size": 9.0,
    "text.parse_math": False,  # a dollar sign in the name of a finding is a dollar sign
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.title_fontsize": 8.0,
}


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yields an empty figure (inches) in this style, not the user's, and writes it to `path`."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        fig = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(fig)
        yield fig
        with atomic(path) as temporary:
            # Matplotlib would write its version into the file.
            fig.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
