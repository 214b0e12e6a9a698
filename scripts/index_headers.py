"""Write the header index of the source: one line for each regular file."""

import json
import os
from pathlib import Path

from dicomzarr.privacy.identifiers import IDENTIFIERS
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.index_headers import index
from dicomzarr.system import files, limits
from dicomzarr.workflow import job


def index_headers(
    inventory: Path,
    index_file: Path,
    cache: Path,
    processes: int,
    code: str,
    paranoid: bool = False,
    largest_loss: float = 1.0,
) -> RuleRecord:
    """Read the headers of new and changed files, keep the rest; how many were read is history, no count of data."""
    found = index.index_headers(
        inventory, index_file, cache, processes, code, trust=not paranoid, largest_loss=largest_loss
    )
    # The identifiers are no output of the rule, which Snakemake would delete first: they are cached between runs.
    identifiers = cache / IDENTIFIERS
    claim = FileClaim(identifiers.stat().st_size, files.sha256_of(identifiers))
    return RuleRecord(
        counts={"files": found.files, **found.outcomes},
        work={"read": found.read, "kept": found.kept},
        unreadable=unreadable(index_file) if found.outcomes.get("quarantined unreadable_file") else (),
        claims={os.path.relpath(identifiers, cache.parents[1]): claim},
    )


def unreadable(index_file: Path) -> tuple[str, ...]:
    """Return the paths of files that could not be opened or read: the record is revoked once they can be."""
    with open(index_file, "rb") as lines:
        rows = [json.loads(line) for line in lines if b',"reason":"unreadable_file",' in line]
    return tuple(row["path"] for row in rows if row["reason"] == "unreadable_file")


if __name__ == "__main__":
    with job.step(snakemake) as step:
        limits.use(limits.Limits(**snakemake.params.limits))
        step.result = index_headers(
            inventory=Path(snakemake.input.inventory),
            index_file=Path(snakemake.output.index),
            cache=Path(snakemake.params.cache),
            processes=snakemake.threads,
            code=snakemake.params.code,
            # No params: they change no result.
            paranoid=snakemake.config["paranoid"],
            largest_loss=1.0 if snakemake.config["confirm_drop"] else snakemake.config["largest_drop"],
        )
