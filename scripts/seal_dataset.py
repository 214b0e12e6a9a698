"""Write `checksums`, then `dataset.json`, the last file of the dataset: its digest and its seal."""

from collections.abc import Sequence
from pathlib import Path

from dicomzarr.privacy import pseudonyms
from dicomzarr.records import export_record
from dicomzarr.source.archives import bounds
from dicomzarr.stages import seal_dataset as seal
from dicomzarr.system import files, json_files, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def seal_dataset(
    results: Path,
    consolidated: Path,
    batches: Sequence[Path],
    detector: str,
    config: dict[str, object],
    sealed: Path,
    checksums: Path,
    processes: int,
) -> None:
    """Write the seal of the dataset, after removing from the exports the series that it no longer has.

    Parameters
    ----------
    results, consolidated, sealed, checksums : Path
        The results folder, the record of consolidation, and the files to write.
    batches : sequence of Path
        The records of the extraction of all batches.
    detector : str
        Digest of the code that looks for text in the pixels; empty without `burned_in: scan`.
    config : dict
        The keys of the configuration that may be published.
    processes : int
        Most processes to use.
    """
    folders = Results(results)
    seal.refuse_unlooked(batches, detector)
    export_record.remove_deleted(folders)
    content, listed = seal.seal(folders, consolidated, config, pseudonyms.load(folders.private), processes)
    run_token.check(folders.private)
    files.write_atomically(checksums, listed)
    seal.remove_stale_signature(folders, json_files.canonical_json(content))
    files.write_atomically(sealed, json_files.canonical_json(content))
    files.remove_tree(folders.private / "cache" / bounds.FOLDER)  # decompressed archives: nothing reads them any more


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = seal_dataset(
            results=Path(snakemake.params.results),
            consolidated=Path(snakemake.input.consolidated),
            batches=[Path(path) for path in snakemake.input.extracted],
            detector=snakemake.params.detector,
            config=snakemake.params.shown,
            sealed=Path(snakemake.output.sealed),
            checksums=Path(snakemake.output.checksums),
            processes=snakemake.threads,
        )
