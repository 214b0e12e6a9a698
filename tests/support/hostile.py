"""A source folder full of traps: broken, hostile and good files, with canaries wherever a text can hide.

Deterministic; nothing is taken from the network. Each path has its expected outcome and the reasons that fit it, each
good file its voxels.
"""

from __future__ import annotations

from pathlib import Path

from broken_headers import absurd_numbers, broken_structure, contradictions, cut_files, wrong_syntaxes
from broken_pixels import bombs, lying_fragments, lying_tables
from good_traps import good_files
from odd_entries import entries, odd_names, other_files
from traps import Traps


def write(source: Path) -> Traps:
    """Fill a new folder; beside it, `outside` is what links lead to."""
    source.mkdir(parents=True)
    traps = Traps(source)
    makers = (good_files, cut_files, absurd_numbers, contradictions, broken_structure, wrong_syntaxes, bombs)
    for make in (*makers, lying_fragments, lying_tables, odd_names, other_files):
        make(traps)
    entries(traps, source.parent / "outside")
    return traps
