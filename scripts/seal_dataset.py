"""Write `dataset.json`, last: the digest and the seal of the dataset."""

from pathlib import Path

from dicomzarr import identity, provenance, seal, storage
from dicomzarr.exports import standing
from dicomzarr.paths import Results


def seal_dataset(results: Path, consolidated: Path, config: dict[str, object], sealed: Path) -> None:
    """Write the seal of the dataset; what is no longer in it leaves the exports first."""
    folders = Results(results)
    standing.retire(folders)
    content = seal.seal(folders, consolidated, config, identity.load(folders.private))
    storage.write_atomically(sealed, storage.canonical_json(content))


if __name__ == "__main__":
    with provenance.step(snakemake) as step:
        step.result = seal_dataset(
            results=Path(snakemake.params.results),
            consolidated=Path(snakemake.input.consolidated),
            config=snakemake.params.shown,
            sealed=Path(snakemake.output.sealed),
        )
