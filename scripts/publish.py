"""Publish the dataset: send what changed to a bucket or folder, then point readers to the new version."""

from pathlib import Path
from typing import Any

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages import publish as stage
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def publish(results: Path, config: dict[str, Any]) -> RuleRecord:
    """Bring the target up to date and return the counts.

    Parameters
    ----------
    results : Path
    config : dict
        The config key `publish`.
    """
    return stage.publish(Results(results), config)


if __name__ == "__main__":
    with job.step(snakemake) as step:
        # Not a param: Snakemake keeps params outside of private/. The params hold its digest.
        step.result = publish(results=Path(snakemake.params.results), config=snakemake.config["publish"])
