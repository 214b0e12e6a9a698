"""Write the four cards from the tables and the configuration alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.stages.render_report.tables import Tables, read_tables
from dicomzarr.stages.write_cards.card import card_of
from dicomzarr.stages.write_cards.citation import citation_file
from dicomzarr.stages.write_cards.columns import Vocabularies, read_table
from dicomzarr.stages.write_cards.croissant import croissant
from dicomzarr.stages.write_cards.data_package import data_package
from dicomzarr.stages.write_cards.dataset_card import Policy, dataset_card
from dicomzarr.system import files


def cards(
    dataset: Path, paths: Sequence[str], config: Mapping[str, Any], vocabularies: Vocabularies, policy: Policy
) -> dict[str, bytes]:
    """Return the content of each card by its name.

    Parameters
    ----------
    dataset : Path
        The folder with the tables.
    paths : sequence of str
        The tables, below the dataset.
    config : mapping
        The config key `card`.
    vocabularies : Vocabularies
    policy : Policy

    Returns
    -------
    dict of str to bytes
        They depend on the tables and the configuration alone. None holds a digest of the dataset, of which it is part.
    """
    card = card_of(config)
    read = read_tables(dataset, policy.small_cells)
    used = _used(vocabularies, read)
    tables = [read_table(dataset, path, used) for path in paths]
    digests = {path: files.sha256_of(dataset / path) for path in paths}
    texts = {
        "croissant.json": _json(croissant(card, tables, digests, used)),
        "datapackage.json": _json(data_package(card, tables, digests)),
        "DATASET_CARD.md": dataset_card(dataset, read, card, tables, policy),
        "CITATION.cff": citation_file(card),
    }
    return {name: text.encode("utf-8") for name, text in texts.items()}


def _used(vocabularies: Vocabularies, read: Tables) -> Vocabularies:
    """Return the vocabularies of which the tables have a word: mlcroissant cannot look up words in an empty column."""
    labels = {name for array in read.arrays for name, value in array.labels if value}
    return Vocabularies(
        labels={name: allowed for name, allowed in vocabularies.labels.items() if name in labels},
        splits=vocabularies.splits if any(array.split for array in read.arrays) else (),
    )


def _json(value: object) -> str:
    """Return JSON for people too: indented, in the order in which it was made."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
