"""The versions of Snakemake that this package was tried with."""

from __future__ import annotations

import sys

TRIED = ("9.27.1",)


def version() -> str:
    """Return the version of Snakemake in this process."""
    import snakemake

    return str(snakemake.__version__)


def is_tried() -> bool:
    """Return whether this package was tried with this version of Snakemake."""
    return version() in TRIED


def note_if_untried() -> None:
    """Print what does not work with a version of Snakemake that was not tried."""
    if not is_tried():
        print(
            f"note: Snakemake {version()} was not tried with this workflow (tried: {', '.join(TRIED)}); a dry run may "
            "not list jobs for changed sources or damaged files, and a signal may take long to end a run",
            file=sys.stderr,
        )
