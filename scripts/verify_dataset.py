"""Read every byte of the dataset again and compare it with the records; `repair` schedules the rebuilding of damage."""

import json
import os
import sys
from pathlib import Path

from dicomzarr.stages import verify_dataset as verify
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import job


def verify_dataset(results: Path, threads: int, repair: bool) -> verify.Verdict:
    """Return the damaged, missing and surplus files.

    Parameters
    ----------
    results : Path
    threads : int
        Number of files read at once.
    repair : bool
        Revoke the records of damaged and missing files, and move surplus files out of the dataset.
    """
    folders = Results(results)
    verdict = verify.verify(folders, threads)
    if repair:
        verify.schedule_repair(folders, verdict)
    return verdict


if __name__ == "__main__":
    with job.step(snakemake):
        verdict = verify_dataset(Path(snakemake.params.results), snakemake.threads, snakemake.params.repair)
        answer = os.environ.get("DICOMZARR_VERDICT")  # the launcher's file; without it, standard output
        if answer:
            content = {
                "good": verdict.good,
                "files": verdict.files,
                "bytes": verdict.bytes,
                "findings": verdict.findings,
                "unfinished": verdict.unfinished,
                "lines": verdict.lines(),
            }
            files.write_atomically(Path(answer), json.dumps(content).encode())
        else:
            print("\n".join(verdict.lines()), file=sys.stdout, flush=True)
            if not verdict.good:
                raise UserError("the dataset is not as recorded")
