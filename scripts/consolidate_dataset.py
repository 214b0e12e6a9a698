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
    source: accounts.SourceLists,
    outputs: dict[str, Path],
    joined: Joined,
    code: str,
) -> RuleRecord:
    """Bring tables, accounts and provenance up to date.

    Parameters
    ----------
    results : Path
        The results folder.
    batches : list of str
        Names of all batches.
    source : SourceLists
        The listing of the source, archives, the header index, and the mask files without an image.
    outputs : dict of str to Path
        Paths of the tables and of the two groups above the images.
    joined : Joined
        Labels and splits.
    code : str
        Digest of the code that consolidates.
    """
    folders = Results(results)
    return accounts.consolidate(folders, batches, source, pseudonyms.load(folders.private), outputs, joined, code)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        tables = ("volumes", "masks", "outcomes", "mask_outcomes", "policy", "pictures")
        names = (*tables, "files", "frames", "mask_files", "mask_names", "group", "root")
        step.result = consolidate_dataset(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            source=accounts.SourceLists(
                inventory=Path(snakemake.input.inventory),
                members=Path(snakemake.input.members),
                index=Path(snakemake.input.index),
                unplaced_masks=Path(snakemake.input.unplaced_masks),
            ),
            outputs={name: Path(snakemake.output[name]) for name in names},
            joined=Joined(
                labels=snakemake.params.labels,
                splits=snakemake.params.splits,
                expected_masks=snakemake.params.expected_masks,
                series=json_files.read_json(Path(snakemake.input.joined[0])) if snakemake.input.joined else {},
            ),
            code=snakemake.params.code,
        )
