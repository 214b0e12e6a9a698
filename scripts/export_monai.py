"""Write a MONAI datalist of the images and label maps of the nnU-Net export."""

from pathlib import Path
from typing import Any

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.export import monai, nnunet
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def export_monai(results: Path, code: str, config: dict[str, Any]) -> RuleRecord:
    """Write `exports/monai/datalist.json` and return the counts.

    Parameters
    ----------
    results : Path
    code : str
        Digest of the code of the rule.
    config : dict
        The config key `nnunet`.
    """
    folders = Results(results)
    return monai.export(folders, nnunet.Plan.of(config), nnunet.read_cases(folders), code)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = export_monai(
            results=Path(snakemake.params.results), code=snakemake.params.code, config=snakemake.params.nnunet
        )
