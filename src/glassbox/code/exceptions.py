"""Where a walk from import to import is wrong about what an output depends on; tests keep both lists short."""

from __future__ import annotations

#: Name -> what comes with it, although no module of ours says so: of the packages behind a package, those that
#: compute or write what gets into an output.
UNSEEN: dict[str, tuple[str, ...]] = {
    # Its backend, by whose kernels a model is trained; 16-bit floats; the files of weights and models.
    "keras": ("tensorflow", "ml_dtypes", "h5py"),
    # What its loops are compiled with.
    "numba": ("llvmlite",),
    "skimage": ("scipy",),
    "sklearn": ("scipy",),
    "pandas": ("numpy",),
    # It writes a figure's PNG with the one and places the figure's parts with the other.
    "matplotlib": ("PIL", "kiwisolver"),
    # It escapes what a page quotes.
    "jinja2": ("markupsafe",),
}

#: What a stage reaches, although it cannot change a byte of a tracked output; nor is it walked through.
HARMLESS: tuple[str, ...] = (
    # An observer: what it writes is MLflow's.
    "glassbox.tracking",
    # The entry of a stage: one key, one lock, one message.
    "glassbox.doors",
    # What writes these digests down, and names cohorts where a parameter is checked.
    "glassbox.code",
    # They read parameters, whose values DVC compares by itself.
    "pydantic",
    "yaml",
    # Bars on the terminal; locks between processes.
    "tqdm",
    "filelock",
    # They move tasks to workers and results back.
    "dask",
    "distributed",
    # What they fetch has the digest that was promised for it, or is refused.
    "kaggle",
    "kagglesdk",
    "requests",
    "urllib3",
)
