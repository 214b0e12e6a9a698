"""Export every series as one NPZ archive."""

from pathlib import Path

from dicomzarr.records import export_record
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.export import engine, npz
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def export_npz(results: Path, batches: list[str], processes: int, level: int, code: str) -> RuleRecord:
    """Bring `exports/npz/` up to date and return the counts.

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
    """
    software = engine.software("numpy", "zlib")
    recipe = engine.Recipe(export_record.NPZ, npz.export_series, level, code, software, with_masks=True)
    return engine.export(Results(results), batches, recipe, processes)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = export_npz(
            results=Path(snakemake.params.results),
            batches=snakemake.params.batches,
            processes=snakemake.threads,
            level=snakemake.params.level,
            code=snakemake.params.code,
        )
