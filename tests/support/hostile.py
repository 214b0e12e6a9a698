"""Write a source folder of broken, hostile and good files, with a canary in every element that can hold text.

Deterministic, without network. Each path has the set of acceptable reasons, and each good file its voxels.
"""

from __future__ import annotations

from pathlib import Path

from broken_headers import absurd_numbers, broken_structure, contradictions, cut_files, wrong_syntaxes
from broken_pixels import bombs, false_fragments, false_tables
from good_traps import good_files
from odd_entries import entries, odd_names, other_files
from traps import Traps


def write(source: Path) -> Traps:
    """Fill a new folder; the folder `outside` beside it is the target of its links."""
    source.mkdir(parents=True)
    traps = Traps(source)
    makers = (good_files, cut_files, absurd_numbers, contradictions, broken_structure, wrong_syntaxes, bombs)
    for make in (*makers, false_fragments, false_tables, odd_names, other_files):
        make(traps)
    entries(traps, source.parent / "outside")
    return traps
