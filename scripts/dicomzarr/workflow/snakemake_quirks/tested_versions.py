"""The versions of Snakemake that this package was tested with."""

from __future__ import annotations

import sys

TESTED = ("9.27.1",)


def version() -> str:
    """Return the version of Snakemake in this process."""
    import snakemake

    return str(snakemake.__version__)


def is_tested() -> bool:
    """Return whether this package was tested with this version of Snakemake."""
    return version() in TESTED


def note_if_untested() -> None:
    """Print what does not work with a version of Snakemake that was not tested."""
    if not is_tested():
        print(
            f"note: Snakemake {version()} was not tested with this workflow (tested: {', '.join(TESTED)}); a dry run "
            "may not list jobs for changed sources or damaged files, and a signal may take long to end a run",
            file=sys.stderr,
        )
