"""Write the report: one self-contained HTML page, rendered from the tables of the dataset."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.render_report.page import render
from dicomzarr.system import files
from dicomzarr.workflow import job


def render_report(
    dataset: Path,
    report: Path,
    small_cells: int = 1,
    max_thumbnails: int = 60,
    max_rows: int = 500,
    threads: int = 1,
) -> RuleRecord:
    """Write the report of a dataset and return its size.

    Parameters
    ----------
    dataset : Path
        The folder with the tables and ``images.zarr``.
    report : Path
        The page to write, atomically.
    small_cells : int
        Modalities with fewer subjects than this are shown as one.
    max_thumbnails, max_rows : int
        Largest number of previews on the contact sheet, and of lines in the table of volumes.
    threads : int
        Number of threads that draw previews.
    """
    text = render(dataset, small_cells=small_cells, max_thumbnails=max_thumbnails, max_rows=max_rows, threads=threads)
    page = text.encode("utf-8")
    files.write_atomically(report, page)
    return RuleRecord(counts={"bytes": len(page)})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = render_report(
            dataset=Path(snakemake.params.dataset),
            small_cells=snakemake.params.small_cells,
            report=Path(snakemake.output.report),
            threads=snakemake.threads,
        )
