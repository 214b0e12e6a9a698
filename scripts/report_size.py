"""Gather the size verdicts of all arrays into one table."""

from pathlib import Path

from dicomzarr import provenance, tables
from dicomzarr.paths import Results
from dicomzarr.verdicts import write_report


def report_size(results: Path, batches: list[str], report: Path) -> dict[str, dict[str, int]]:
    """Write `size.csv` and return how many arrays have each verdict."""
    return {"counts": write_report(Results(results), batches, "size", tables.SIZE, report)}


if __name__ == "__main__":
    with provenance.step(snakemake) as step:
        step.result = report_size(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            report=Path(snakemake.output.report),
        )
