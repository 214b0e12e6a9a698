"""The versions of Snakemake that the pieces of this package were tried with."""

from __future__ import annotations

import sys

TRIED = ("9.27.1",)


def version() -> str:
    """Return the version of the Snakemake that runs this process."""
    import snakemake

    return str(snakemake.__version__)


def is_tried() -> bool:
    """Return whether the pieces of this module were tried with this Snakemake."""
    return version() in TRIED


def note_if_untried() -> None:
    """Tell on standard error what does not work with a Snakemake that was not tried."""
    if not is_tried():
        print(
            f"note: Snakemake {version()} was not tried with this workflow (tried: {', '.join(TRIED)}); a dry run may "
            "not list what a changed source or damaged files would bring about, and a signal may take "
            "long to end a run",
            file=sys.stderr,
        )
