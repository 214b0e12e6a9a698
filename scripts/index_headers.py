"""Write the header index of the source: one line for each regular file."""

import os
from pathlib import Path

from dicomzarr.privacy.identifiers import IDENTIFIERS
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.archives import bounds
from dicomzarr.stages.index_headers import index
from dicomzarr.system import files, limits
from dicomzarr.workflow import job

_UNREAD = {"quarantined unreadable_file", "changed"}


def index_headers(
    inventory: Path,
    index_file: Path,
    cache: Path,
    processes: int,
    code: str,
    members: Path | None = None,
    paranoid: bool = False,
    largest_loss: float = 1.0,
) -> RuleRecord:
    """Read the headers of new and changed files, and take the other lines from the cache.

    How many were read depends on earlier runs, so it is `work` of the record, not one of its `counts`.

    Parameters
    ----------
    inventory, index_file : Path
        The inventory to read and the header index to write.
    cache : Path
        Folder of the cache of lines and identifiers.
    processes : int
        Number of processes that read headers.
    code : str
        Digest of the code of this rule.
    members : Path, optional
        The rows of archives and of their members.
    paranoid : bool
        Read every file, even if its stat did not change.
    largest_loss : float
        Largest share of all files that may be unreadable because the disk or the network failed.
    """
    result = index.index_headers(
        inventory, index_file, cache, processes, code, members=members, trust=not paranoid, largest_loss=largest_loss
    )
    # The file of identifiers is no output of the rule, since Snakemake would delete it first: it must persist.
    identifiers = cache / IDENTIFIERS
    claim = FileClaim(identifiers.stat().st_size, files.sha256_of(identifiers))
    return RuleRecord(
        counts={"files": result.files, **result.outcomes},
        work={"read": result.read, "kept": result.cached},
        unreadable=index.unreadable_paths(index_file) if _UNREAD & result.outcomes.keys() else (),
        claims={os.path.relpath(identifiers, cache.parents[1]): claim},
    )


if __name__ == "__main__":
    with job.step(snakemake) as step:
        limits.use(limits.Limits(**snakemake.params.limits))
        bounds.use_configured(Path(snakemake.params.cache), snakemake.config["archives"])
        step.result = index_headers(
            inventory=Path(snakemake.input.inventory),
            index_file=Path(snakemake.output.index),
            cache=Path(snakemake.params.cache),
            processes=snakemake.threads,
            code=snakemake.params.code,
            members=Path(snakemake.input.members),
            # From config, not params: they change no result, so a new value must not rerun the rule.
            paranoid=snakemake.config["paranoid"],
            largest_loss=1.0 if snakemake.config["confirm_drop"] else snakemake.config["largest_drop"],
        )
