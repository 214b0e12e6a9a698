"""Group files into series and series into batches."""

import math
from pathlib import Path

from dicomzarr.privacy import pseudonyms
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
    processes: int = 1,
    code: str = "",
) -> RuleRecord:
    """Write the plan of each batch and a table of contents.

    The number of batches depends on earlier runs, so it is `work` of the record, not one of its `counts`.

    Parameters
    ----------
    results, index, contents : Path
        The results folder, the header index, and the table of contents to write.
    series_each, megabytes_each : int
        Wanted size of a batch, in series and in megabytes of native pixels.
    largest_drop : float
        Largest share of the extracted series that may be missing from the source; infinite: no limit.
    processes : int
        Most processes to use.
    code : str
        Digest of the code that plans.
    """
    folders = Results(results)
    planned = batches.plan_batches(
        folders,
        index,
        contents,
        pseudonyms.load(folders.private),
        series_each=series_each,
        bytes_each=megabytes_each * 1_000_000,
        largest_drop=largest_drop,
        processes=processes,
        code=code,
    )
    counts, work = {"files": planned.files, "series": planned.series}, {"batches": planned.batches}
    return RuleRecord(counts=counts, work=work, claims=planned.claims)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = plan_batches(
            results=Path(snakemake.params.results),
            index=Path(snakemake.input.index),
            contents=Path(snakemake.output.contents),
            series_each=snakemake.params.batch["series"],
            megabytes_each=snakemake.params.batch["megabytes"],
            # From config, not params: it changes no result, so a new value must not rerun the rule.
            largest_drop=math.inf if snakemake.config["confirm_drop"] else snakemake.config["largest_drop"],
            processes=snakemake.threads,
            code=snakemake.params.code,
        )
