"""Read the arrays of a batch back, give verdicts on their depth and size, and draw their pictures."""

from pathlib import Path

from dicomzarr.records.batch_record import CheckBatchRecord
from dicomzarr.stages.check_batch import batch
from dicomzarr.system import limits
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def check_batch(results: Path, record: Path, code: str, threads: int = 1, *, draws: bool = True) -> CheckBatchRecord:
    """Return one depth verdict and one size verdict for each array of the batch.

    Parameters
    ----------
    results, record : Path
        The results folder, and the record of the batch by `extract_batch`.
    code : str
        Digest of the code of this rule: verdicts of other code are not reused.
    threads : int
        Number of threads that read and compare frames.
    draws : bool
        Whether to draw pictures.
    """
    return batch.check_batch(Results(results), record, code, threads, draws=draws)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        limits.keep_freed_memory()
        step.result = check_batch(
            results=Path(snakemake.params.results),
            record=Path(snakemake.input.extracted),
            code=snakemake.params.code,
            threads=snakemake.threads,
            draws=snakemake.params.pictures,
        )
