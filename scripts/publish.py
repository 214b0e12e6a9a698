"""Publish the dataset: send what changed to a bucket or folder, then point readers to the new version."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages import publish as stage
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def publish(results: Path) -> RuleRecord:
    """Bring the target up to date and return the counts."""
    folders = Results(results)
    return stage.publish(folders, json_files.read_json(folders.publish_config))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = publish(results=Path(snakemake.params.results))
