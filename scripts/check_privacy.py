"""Look for identities of patients in everything that lies outside the private folder."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages import check_privacy as check
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def check_privacy(results: Path, work: Path, level: str, code: str, chosen: list[str], threads: int = 1) -> RuleRecord:
    """Search what is new or changed; how much that was is history, no count of data."""
    searched = check.check_privacy(Results(results), work, level, code, chosen, threads)
    return RuleRecord(work={"searched": searched})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = check_privacy(
            results=Path(snakemake.params.results),
            work=Path.cwd(),
            level=snakemake.params.level,
            code=snakemake.params.code,
            chosen=snakemake.params.chosen,
            threads=snakemake.threads,
        )
