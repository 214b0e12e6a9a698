"""docs/masks.md: its figures, and the comparison behind its table."""

from __future__ import annotations

import ast
import re
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.masks_beside_tools import TOOLS, signed_volume_error, table

from dicomzarr.vocabulary.mask_problems import MASK_PROBLEMS

PAGE = (ROOT / "docs" / "masks.md").read_text()
SHAPES = ("sphere", "cube", "cylinder", "ellipsoid", "torus", "hollow_sphere", "straw")


def test_each_figure_is_shown_once() -> None:
    """test_volumes_page.py checks that they are current."""
    shown = re.findall(r"\(images/(masks-[\w-]+\.svg)\)", PAGE)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "images").glob("masks-*.svg"))


def test_the_table_has_a_row_for_each_shape_and_a_column_for_each_tool() -> None:
    results = {
        "dicomzarr": {
            "cube": {"dice": 0.99996, "hd95_mm": 0.0, "tool_volume_mm3": 99.0, "reference_volume_mm3": 100.0}
        },
        "rt-utils": {"cube": {"passed": 0.0}},
    }
    assert table(results).splitlines() == [
        "| shape | dicomzarr | rt-utils |",
        "|---|---|---|",
        "| cube | 1.0000 · 0.0 · -1.00 | none |",
    ]
    assert signed_volume_error({"tool_volume_mm3": 103.0, "reference_volume_mm3": 100.0}) == pytest.approx(3)


def test_on_the_page_ours_is_at_least_equal_on_each_shape() -> None:
    head = next(line for line in PAGE.splitlines() if line.startswith("| shape |"))
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == list(TOOLS)
    for shape in SHAPES:
        (row,) = re.findall(rf"^\| {shape} \|(.*)\|$", PAGE, re.MULTILINE)
        dice = [float(cell.split("·")[0]) for cell in row.split("|") if "·" in cell]
        assert dice[0] >= max(0.95, *dice[1:]), shape


def test_every_problem_of_a_mask_file_is_explained() -> None:
    """Compare the codes of problems in the code, and the table of their meanings, which is on the page."""
    raised = set()
    for path in (ROOT / "scripts" / "dicomzarr").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MaskProblem":
                raised |= set(re.findall(r"'([a-z]+_[a-z_]+)'", ast.unparse(node.args[0])))
            if isinstance(node, ast.Yield) and path.name == "regions.py":
                raised |= set(re.findall(r"'([a-z]+_[a-z_]+)'", ast.unparse(node)))
    assert raised == set(MASK_PROBLEMS)
    assert all(f"| `{code}` | {meaning} |" in PAGE for code, meaning in MASK_PROBLEMS.items())
