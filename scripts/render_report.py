"""Write the report: one HTML page, rendered from the tables and pictures of the dataset."""

from collections.abc import Collection
from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.render_report.page import render
from dicomzarr.system import files
from dicomzarr.workflow import job


def render_report(dataset: Path, report: Path, small_cells: int = 1, splits: Collection[str] = ()) -> RuleRecord:
    """Write the report of a dataset and return its size.

    Parameters
    ----------
    dataset : Path
        The folder with the tables and ``reports/pictures``.
    report : Path
        The page to write, atomically.
    small_cells : int
        Modalities with fewer subjects than this are shown as one.
    splits : collection of str
        Names of the splits that get a share of the patients.
    """
    page = render(dataset, small_cells=small_cells, splits=splits).encode("utf-8")
    files.write_atomically(report, page)
    return RuleRecord(counts={"bytes": len(page)})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = render_report(
            dataset=Path(snakemake.params.dataset),
            small_cells=snakemake.params.small_cells,
            splits=snakemake.params.splits,
            report=Path(snakemake.output.report),
        )
