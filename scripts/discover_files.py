"""Write the manifest: the paths of all regular files below the source, and nothing else."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.discover_files import write_manifest
from dicomzarr.workflow import job


def discover_files(inventory: Path, manifest: Path) -> RuleRecord:
    """Write the manifest from the inventory; the counts are the number of entries of each kind."""
    return RuleRecord(counts=write_manifest(inventory, manifest))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = discover_files(Path(snakemake.input.inventory), Path(snakemake.output.manifest))
