"""Search everything outside the private folder for identities of patients."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages import check_privacy as check
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def check_privacy(results: Path, work: Path, level: str, code: str, chosen: list[str], threads: int = 1) -> RuleRecord:
    """Search new and changed files. Their number is `work` of the record, since it does not describe the data.

    Parameters
    ----------
    results, work : Path
        The results folder, and the folder in which Snakemake runs.
    level : str
        ``standard`` or ``full``.
    code : str
        Digest of the code that searches.
    chosen : list of str
        Texts of the configuration that belong in the dataset.
    threads : int
        Most processes to use.
    """
    searched = check.check_privacy(Results(results), work, level, code, chosen, threads)
    return RuleRecord(work={"searched": searched})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = check_privacy(
            results=Path(snakemake.params.results),
            work=Path.cwd(),
            level=snakemake.params.level,
            code=snakemake.params.code,
            chosen=[*snakemake.params.chosen, *check.texts_of(json_files.read_json(Path(snakemake.input.card)))],
            threads=snakemake.threads,
        )
