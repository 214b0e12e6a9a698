"""Write `ro-crate-metadata.json`, and the Snakefile that it describes."""

from pathlib import Path
from typing import Any

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.write_cards.card import card_of
from dicomzarr.stages.write_crate.crate import crate
from dicomzarr.stages.write_crate.run import steps_of
from dicomzarr.system import files, json_files
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.system.software import software
from dicomzarr.workflow import job


def write_crate(
    results: Path, records: list[Path], card: dict[str, Any], config: dict[str, Any], outputs: dict[str, Path]
) -> RuleRecord:
    """Write both files and return the number of steps that are described.

    Parameters
    ----------
    results : Path
        The results folder.
    records : list of Path
        The records of all steps before with one job.
    card : dict
        The config key `card`.
    config : dict
        The keys of the configuration that may be published.
    outputs : dict of str to Path
        Paths of `crate` and `snakefile`.
    """
    steps = steps_of(Results(results), records)
    snakefile = (ROOT / "Snakefile").read_bytes()
    files.write_atomically(outputs["snakefile"], snakefile)
    files.write_atomically(outputs["crate"], crate(card_of(card), steps, config, software(), snakefile))
    return RuleRecord(counts={"steps": len(steps)})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = write_crate(
            results=Path(snakemake.params.results),
            records=[Path(path) for path in [*snakemake.input.records, *snakemake.input.labels]],
            card=json_files.read_json(Path(snakemake.input.card)),
            config=snakemake.params.shown,
            outputs={name: Path(snakemake.output[name]) for name in ("crate", "snakefile")},
        )
