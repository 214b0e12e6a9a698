"""Read every byte of the dataset again and compare it with the records; `repair` schedules the rebuilding of damage."""

import json
import os
import sys
from pathlib import Path

from dicomzarr.stages import verify_dataset as verify
from dicomzarr.system import files, signatures
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


def check_signature(results: Path, signers: str) -> signatures.Signature:
    """Check the signature of `dataset.json`; without a file of allowed signers, only say whether there is one.

    Parameters
    ----------
    results : Path
    signers : str
        Path of a file of allowed signers; empty for none.
    """
    sealed = Results(results).sealed
    content = sealed.read_bytes() if sealed.is_file() else b""
    return signatures.check(content, signatures.read(sealed), Path(signers) if signers else None)


if __name__ == "__main__":
    with job.step(snakemake):
        verdict = verify_dataset(Path(snakemake.params.results), snakemake.threads, snakemake.params.repair)
        signature = check_signature(Path(snakemake.params.results), os.environ.get("DICOMZARR_SIGNERS", ""))
        good, lines = verdict.good and not signature.fails, [*verdict.lines(), *filter(None, [signature.text])]
        answer = os.environ.get("DICOMZARR_VERDICT")  # the launcher's file; without it, standard output
        if answer:
            content = {
                "good": good,
                "files": verdict.files,
                "bytes": verdict.bytes,
                "findings": verdict.findings,
                "unfinished": verdict.unfinished,
                "signature": signature.state,
                "signer": signature.signer,
                "lines": lines,
            }
            files.write_atomically(Path(answer), json.dumps(content).encode())
        else:
            print("\n".join(lines), file=sys.stdout, flush=True)
            if not good:
                raise UserError("the dataset is not as recorded")
