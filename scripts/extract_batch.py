"""Extract the pixels of the series of a batch that changed."""

from pathlib import Path

from dicomzarr import extract, identity, provenance
from dicomzarr.paths import Results
from dicomzarr.series import Options


def extract_batch(results: Path, plan: Path, inventory: Path, options: Options) -> extract.BatchResult:
    """Bring the arrays of a batch up to date and return what was done."""
    folders = Results(results)
    return extract.extract_batch(plan, inventory, folders, identity.load(folders.private), options)


if __name__ == "__main__":
    with provenance.step(snakemake) as step:  # noqa: F821
        step.result = extract_batch(
            results=Path(snakemake.params.results),  # noqa: F821
            plan=Path(snakemake.input.plan),  # noqa: F821
            inventory=Path(snakemake.params.inventory),  # noqa: F821
            options=Options(
                compression=snakemake.params.compression,  # noqa: F821
                layout=snakemake.params.layout,  # noqa: F821
                tolerance=snakemake.params.tolerance,  # noqa: F821
                code=snakemake.params.code,  # noqa: F821
            ),
        )
