"""Give each series its labels and fixed split, from files that use the site's own identifiers."""

from pathlib import Path

from dicomzarr.privacy import pseudonyms
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.join_labels import join
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def join_labels(
    results: Path, batches: list[str], sources: list[dict[str, object]], arrays: Path, outputs: dict[str, Path]
) -> RuleRecord:
    """Write the labels of each series, the report of the counts, and the private list of unmatched lines.

    Parameters
    ----------
    results : Path
    batches : list of str
        Names of all batches.
    sources : list of dict
        The config key `labels`.
    arrays : Path
        A table with the column ``array``: what the dataset holds.
    outputs : dict of str to Path
        Paths of joined, report and details.
    """
    folders = Results(results)
    return join.join_labels(folders, batches, sources, pseudonyms.load(folders.private), arrays, outputs)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = join_labels(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            sources=snakemake.params.sources,
            arrays=Path(snakemake.input.arrays),
            outputs={name: Path(snakemake.output[name]) for name in ("joined", "report", "details")},
        )
