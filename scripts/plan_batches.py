"""Group files into series and series into batches."""

import math
from pathlib import Path

from dicomzarr.privacy import pseudonyms as identity
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def plan_batches(
    results: Path,
    index: Path,
    contents: Path,
    series_each: int,
    megabytes_each: int,
    largest_drop: float = math.inf,
) -> RuleRecord:
    """Write a plan a batch and their table of contents; the number of batches is history, so no count of the data."""
    folders = Results(results)
    pseudonyms = identity.load(folders.private)
    size = megabytes_each * 1_000_000
    done = batches.plan_batches(
        folders,
        index,
        contents,
        pseudonyms,
        series_each=series_each,
        bytes_each=size,
        largest_drop=largest_drop,
    )
    counts, work = {"files": done.files, "series": done.series}, {"batches": done.batches}
    return RuleRecord(counts=counts, work=work, claims=done.claims)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = plan_batches(
            results=Path(snakemake.params.results),
            index=Path(snakemake.input.index),
            contents=Path(snakemake.output.contents),
            series_each=snakemake.params.batch["series"],
            megabytes_each=snakemake.params.batch["megabytes"],
            # No param: it changes no result.
            largest_drop=math.inf if snakemake.config["confirm_drop"] else snakemake.config["largest_drop"],
        )
