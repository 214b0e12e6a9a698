"""Export images with masks as a raw dataset of nnU-Net v2."""

from functools import partial
from pathlib import Path
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.export import engine, nnunet
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def export_nnunet(
    results: Path,
    batches: list[str],
    processes: int,
    level: int,
    code: str,
    config: dict[str, Any],
    allowed: int | None = None,
) -> RuleRecord:
    """Bring `exports/nnunet/` up to date and return the counts.

    Parameters
    ----------
    results : Path
    batches : list of str
        The batches of the plan.
    processes : int
        Number of series exported at once.
    level : int
        Level of compression, 0 to 9.
    code : str
        Digest of the code of the rule.
    config : dict
        The config key `nnunet`.
    allowed : int, optional
        Largest number of refused arrays (`gate`).
    """
    folders = Results(results)
    plan, cases = nnunet.Plan.of(config), nnunet.read_cases(folders)
    nnunet.refuse_unknown_modality(folders, plan)
    nnunet.refuse_validation_alone(cases.values())
    recipe = engine.Recipe(
        export_record.NNUNET,
        partial(nnunet.export_series, plan=plan, cases=cases),
        level,
        code,
        engine.software("nibabel", "numpy", "zlib"),
        settings=plan.settings(),
        facts=nnunet.facts_of(cases, plan),
        with_masks=True,
        index=partial(nnunet.write_index, plan=plan, cases=cases),
    )
    return engine.export(folders, batches, recipe, processes, allowed)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = export_nnunet(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            processes=snakemake.threads,
            level=snakemake.params.level,
            code=snakemake.params.code,
            config=snakemake.params.nnunet,
            allowed=snakemake.params.allowed,
        )
