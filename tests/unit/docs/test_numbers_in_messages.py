"""A message about one thing does not name it in the plural: "1 volumes are smaller"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

MODULES = sorted((ROOT / "scripts/dicomzarr").rglob("*.py"))
COUNTED = "arrays|batches|cells|entries|files|folders|frames|images|jobs|lines|masks|members|objects|patients"
COUNTED += "|positions|records|rows|slices|studies|subjects|tiles|values|volumes|voxels"
PLURAL = re.compile(rf" (?:more |new |other )?({COUNTED})\b")
# Expressions whose value is more than one where they are used.
NEVER_ONE = {
    "len(matches)",  # an id is ambiguous
    "len(matching)",
    "count",  # several positions of one stack
    "there.damaged",  # behind a condition
    "wrong",
    "foreign",
    "batches",
    "len(words or '')",
    "policy.small_cells",  # "fewer than 5"
}


def _plurals(path: Path) -> Iterator[str]:
    """Yield the places where a formatted number is followed by a noun in the plural."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, number, after in zip([None, *node.values], node.values, node.values[1:], strict=False):
            if not isinstance(number, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            if not PLURAL.match(str(after.value)) or ast.unparse(number.value) in NEVER_ONE:
                continue
            if not (isinstance(before, ast.Constant) and str(before.value).endswith("of ")):  # "1 of 1 files"
                yield f"line {node.lineno}: {{{ast.unparse(number.value)}}}{after.value}"


def test_numbers_fit_their_nouns() -> None:
    """Use `terminal.screen.counted`, `render_report.numbers.count` or `volumes.grouping.count_of`."""
    found = {str(path.relative_to(ROOT)): plurals for path in MODULES if (plurals := [*_plurals(path)])}
    assert not found
