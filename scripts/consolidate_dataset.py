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
    unplaced_masks: Path,
    outputs: dict[str, Path],
    joined: Joined,
    code: str,
    members: Path | None = None,
) -> RuleRecord:
    """Bring tables, accounts and provenance up to date.

    Parameters
    ----------
    results, inventory, index, unplaced_masks : Path
        The results folder, the listing of the source, the header index, and the mask files without an image.
    batches : list of str
        Names of all batches.
    outputs : dict of str to Path
        Paths of the tables and of the two groups above the images.
    joined : Joined
        Labels and splits.
    code : str
        Digest of the code that consolidates.
    members : Path, optional
        The rows of archives and of their members.
    """
    folders = Results(results)
    key = pseudonyms.load(folders.private)
    return accounts.consolidate(folders, batches, inventory, index, unplaced_masks, key, outputs, joined, code, members)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        tables = ("volumes", "masks", "outcomes", "mask_outcomes", "policy", "pictures")
        names = (*tables, "files", "frames", "mask_files", "mask_names", "group", "root")
        step.result = consolidate_dataset(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            inventory=Path(snakemake.input.inventory),
            index=Path(snakemake.input.index),
            unplaced_masks=Path(snakemake.input.unplaced_masks),
            outputs={name: Path(snakemake.output[name]) for name in names},
            joined=Joined(
                labels=snakemake.params.labels,
                splits=snakemake.params.splits,
                expected_masks=snakemake.params.expected_masks,
                series=json_files.read_json(Path(snakemake.input.joined[0])) if snakemake.input.joined else {},
            ),
            code=snakemake.params.code,
            members=Path(snakemake.input.members),
        )
