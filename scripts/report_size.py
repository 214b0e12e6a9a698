"""Write the size verdicts of all arrays as one table."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.report_tables import write_report
from dicomzarr.system import csv_tables
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def report_size(results: Path, batches: list[str], report: Path) -> RuleRecord:
    """Write `size.csv`; the counts are the number of arrays with each verdict."""
    return RuleRecord(counts=write_report(Results(results), batches, "size", csv_tables.SIZE, report))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = report_size(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            report=Path(snakemake.output.report),
        )
