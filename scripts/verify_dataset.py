"""Read every byte of the dataset again and compare it with the records; `repair` schedules what must be made anew."""

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
    """Return what is damaged, missing or surplus; where asked, take back the records of just that."""
    folders = Results(results)
    verdict = verify.verify(folders, threads)
    if repair:
        verify.schedule_repair(folders, verdict)
    return verdict


if __name__ == "__main__":
    with job.step(snakemake):
        found = verify_dataset(Path(snakemake.params.results), snakemake.threads, snakemake.params.repair)
        wanted = os.environ.get("DICOMZARR_VERDICT")  # the launcher's; without it, people read standard output
        if wanted:
            said = {"good": found.good, "files": found.files, "bytes": found.bytes, "findings": found.findings}
            files.write_atomically(
                Path(wanted), json.dumps({**said, "unfinished": found.unfinished, "lines": found.lines()}).encode()
            )
        else:
            print("\n".join(found.lines()), file=sys.stdout, flush=True)
            if not found.good:
                raise UserError("the dataset is not as recorded")
