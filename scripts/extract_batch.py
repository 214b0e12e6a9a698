"""Extract the pixels of the series of a batch that changed."""

from pathlib import Path

from dicomzarr.privacy import pseudonyms
from dicomzarr.records import decisions, mask_vocabulary
from dicomzarr.records.batch_record import BatchRecord
from dicomzarr.source.archives import bounds
from dicomzarr.stages.extract_batch import batch
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.system import files, json_files, limits, sandbox
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary import errors
from dicomzarr.workflow import job


def extract_batch(
    results: Path,
    plan: Path,
    plan_digest: str,
    inventory: Path,
    options: Options,
    threads: int = 1,
    paranoid: bool = False,
    keep_removed: bool = False,
) -> BatchRecord:
    """Bring the arrays of a batch up to date.

    Parameters
    ----------
    results, plan, inventory : Path
        The results folder, the plan of the batch, and the inventory of the source.
    plan_digest : str
        First digits of the SHA-256 of the plan.
    options : Options
    threads : int
        Number of threads that decode and compress.
    paranoid : bool
        Read every source file, even if its stat did not change.
    keep_removed : bool
        Move the arrays of removed series to `private/removed/` instead of deleting them.
    """
    if not files.sha256_of(plan).startswith(plan_digest):
        raise errors.Damaged(plan)
    folders = Results(results)
    return batch.extract_batch(
        plan,
        inventory,
        folders,
        pseudonyms.load(folders.private),
        options,
        threads=threads,
        paranoid=paranoid,
        keep_removed=keep_removed,
    )


def named(results: Path, *, are_configured: bool) -> dict[str, object]:
    """Return the options for the names of masks: the names, and their keyed digest."""
    folders = Results(results)
    names = mask_vocabulary.read(folders.mask_vocabulary, must_exist=are_configured)
    key = pseudonyms.load(folders.private)
    return {"mask_names": names, "names_digest": key.digest("mask-names", json_files.canonical_json(names))}


def decided(results: Path) -> tuple[tuple[str, str], ...]:
    """Return what was decided about text in pixels, by content, sorted."""
    return tuple(sorted(decisions.read(decisions.path_in(results / "private")).items()))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        limits.use(limits.Limits(**snakemake.params.limits))
        limits.current().confine_job()
        sandbox.share_fate()
        bounds.use_configured(Path(snakemake.params.results) / "private" / "cache", snakemake.config["archives"])
        limits.keep_freed_memory()
        step.result = extract_batch(
            results=Path(snakemake.params.results),
            plan=Path(snakemake.input.plan),
            plan_digest=snakemake.params.plan,
            inventory=Path(snakemake.params.inventory),
            options=Options(
                compression=snakemake.params.compression,
                layout=snakemake.params.layout,
                tolerance=snakemake.params.tolerance,
                cross_check=snakemake.params.cross_check,
                burned_in=snakemake.params.burned_in,
                faces=snakemake.params.faces,
                software=tuple(snakemake.params.software),
                code=snakemake.params.code,
                levels=snakemake.params.levels,
                allow_short=snakemake.params.allow_short,
                detector=snakemake.params.detector,
                decisions=decided(Path(snakemake.params.results)),
                **named(Path(snakemake.params.results), are_configured=bool(snakemake.config["masks"].get("names"))),
            ),
            threads=snakemake.threads,
            # From config, not params: they change no result, so a new value must not rerun the rule.
            paranoid=snakemake.config["paranoid"],
            keep_removed=snakemake.config["keep_removed"],
        )
