"""End the run with a failure if the dataset has more findings than the configuration allows."""

from pathlib import Path

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages import check_gate as gate
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job


def check_gate(results: Path, allowed: dict[str, int]) -> RuleRecord:
    """Return the counts of the findings that the gate watches; raise `GateClosed` if one is too large."""
    return RuleRecord(counts=gate.check_gate(Results(results), allowed))


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = check_gate(results=Path(snakemake.params.results), allowed=snakemake.params.allowed)
