"""Write the tables of the dataset, the accounts of the source and the provenance by series."""

from pathlib import Path

from dicomzarr.privacy import pseudonyms
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.consolidate_dataset import accounts
from dicomzarr.stages.consolidate_dataset.volume_rows import Joined
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def consolidate_dataset(
    results: Path,
    batches: list[str],
    inventory: Path,
    index: Path,
    outputs: dict[str, Path],
    joined: Joined,
    code: str,
) -> RuleRecord:
    """Bring tables, accounts and provenance up to date.

    Parameters
    ----------
    results, inventory, index : Path
        The results folder, the listing of the source, and the header index.
    batches : list of str
        Names of all batches.
    outputs : dict of str to Path
        Paths of volumes, outcomes, policy, files, frames and group.
    joined : Joined
        Labels and splits.
    code : str
        Digest of the code that consolidates.
    """
    folders = Results(results)
    key = pseudonyms.load(folders.private)
    return accounts.consolidate(folders, batches, inventory, index, key, outputs, joined, code)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        names = ("volumes", "outcomes", "policy", "files", "frames", "group")
        step.result = consolidate_dataset(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            inventory=Path(snakemake.input.inventory),
            index=Path(snakemake.input.index),
            outputs={name: Path(snakemake.output[name]) for name in names},
            joined=Joined(
                labels=snakemake.params.labels,
                splits=snakemake.params.splits,
                series=json_files.read_json(Path(snakemake.input.joined[0])) if snakemake.input.joined else {},
            ),
            code=snakemake.params.code,
        )
