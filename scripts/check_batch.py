"""Read the arrays of a batch back and judge their depth and size."""

from pathlib import Path

from dicomzarr import check, limits, provenance
from dicomzarr.paths import Results


def check_batch(results: Path, record: Path, code: str, threads: int = 1) -> check.CheckResult:
    """Return one depth verdict and one size verdict for each array of the batch."""
    return check.check_batch(Results(results), record, code, threads)


if __name__ == "__main__":
    with provenance.step(snakemake) as step:
        limits.keep_freed_memory()
        step.result = check_batch(
            results=Path(snakemake.params.results),
            record=Path(snakemake.input.extracted),
            code=snakemake.params.code,
            threads=snakemake.threads,
        )
