"""Write the cards of the dataset: croissant.json, datapackage.json, DATASET_CARD.md and CITATION.cff."""

from pathlib import Path
from typing import Any

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.write_cards.columns import Vocabularies
from dicomzarr.stages.write_cards.dataset_card import Policy
from dicomzarr.stages.write_cards.write import cards
from dicomzarr.system import files, json_files
from dicomzarr.workflow import job


def write_cards(
    dataset: Path,
    tables: list[Path],
    card: dict[str, Any],
    vocabularies: dict[str, Any],
    policy: dict[str, Any],
) -> RuleRecord:
    """Write the cards into the dataset folder and return their sizes.

    Parameters
    ----------
    dataset : Path
        The folder of the dataset.
    tables : list of Path
        The tables of the dataset.
    card : dict
        The config key `card`.
    vocabularies : dict
        ``labels`` and ``splits``: the values that the configuration allows.
    policy : dict
        ``burned_in``, ``reason``, ``small_cells``, ``faces`` and ``faces_reason`` of the configuration.
    """
    paths = [path.relative_to(dataset).as_posix() for path in tables]
    written = cards(dataset, paths, card, Vocabularies(**vocabularies), Policy(**policy))
    for name, content in written.items():
        files.write_atomically(dataset / name, content)
    return RuleRecord(counts={name: len(content) for name, content in written.items()})


if __name__ == "__main__":
    with job.step(snakemake) as step:
        step.result = write_cards(
            dataset=Path(snakemake.params.dataset),
            tables=[Path(path) for path in snakemake.input if path.endswith(".csv")],
            card=json_files.read_json(Path(snakemake.input.card)),
            vocabularies=snakemake.params.vocabularies,
            policy=snakemake.params.policy,
        )
