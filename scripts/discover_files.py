"""Write the manifest: the paths of all regular files of the source and of the members of its archives."""

import hashlib
import json
from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.archives import bounds
from dicomzarr.stages.discover_files import Outputs, write_manifest
from dicomzarr.system import limits
from dicomzarr.workflow import job


def discover_files(
    inventory: Path,
    manifest: Path,
    members: Path,
    table: Path,
    cache: Path,
    archives: dict[str, object],
    processes: int,
    code: str,
    paranoid: bool,
    largest_loss: float,
) -> RuleRecord:
    """Write the manifest and the members of archives; the counts are the number of entries of each kind.

    Parameters
    ----------
    inventory, manifest, members, table : Path
        The listing of the source, and the files to write.
    cache : Path
        Folder of the listings of earlier runs.
    archives : dict
        The config key of this name.
    processes : int
        Archives that are listed at once.
    code : str
        Digest of the code of this rule.
    paranoid : bool
        List every archive, even if it did not change.
    largest_loss : float
        Largest share of the archives that may be unreadable because the disk or the network failed.
    """
    kept = {name: value for name, value in archives.items() if name != "cache_megabytes"}  # what is listed stays so
    decisive = json.dumps([kept, str(limits.current()), code], sort_keys=True)
    found = write_manifest(
        inventory,
        Outputs(manifest, members, table),
        cache,
        is_read=archives["content"] == "read",
        processes=processes,
        tag=hashlib.sha256(decisive.encode()).hexdigest(),
        trust=not paranoid,
        largest_loss=largest_loss,
    )
    work = {"listed": found.listed, "known": found.known}
    return RuleRecord(counts=found.counts, work=work, unreadable=tuple(found.unreadable))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        limits.use(limits.Limits(**snakemake.params.limits))
        bounds.use_configured(Path(snakemake.params.cache), snakemake.config["archives"])
        step.result = discover_files(
            inventory=Path(snakemake.input.inventory),
            manifest=Path(snakemake.output.manifest),
            members=Path(snakemake.output.members),
            table=Path(snakemake.output.archives),
            cache=Path(snakemake.params.cache),
            archives=snakemake.params.archives,
            processes=snakemake.threads,
            code=snakemake.params.code,
            # From config, not params: they change no result, so a new value must not rerun the rule.
            paranoid=snakemake.config["paranoid"],
            largest_loss=1.0 if snakemake.config["confirm_drop"] else snakemake.config["largest_drop"],
        )
