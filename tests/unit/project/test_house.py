"""The floor plan: which room may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from conftest import ROOT

CORE = ROOT / "scripts" / "dicomzarr"
LIBRARIES = {"vocabulary", "dicom", "system", "source", "records", "privacy", "headers", "pixels", "volumes", "arrays"}
MAY: dict[str, set[str]] = {
    "vocabulary": set(),
    "dataset": set(),
    "dicom": {"vocabulary"},
    "system": {"vocabulary"},
    "source": {"dicom", "system", "vocabulary"},
    "records": {"source", "dicom", "system", "vocabulary"},
    "privacy": {"system", "dicom", "vocabulary"},
    "headers": {"source", "privacy", "dicom", "system", "vocabulary"},
    "pixels": {"dicom", "system", "vocabulary"},
    "volumes": {"dicom", "vocabulary"},
    "arrays": {"volumes", "system", "dicom", "vocabulary", "dataset"},
    "workflow": {"records", "source", "system", "privacy", "dicom", "vocabulary", "stages.join_labels"},
}
STAGES = sorted(path.stem for path in (CORE / "stages").iterdir() if path.stem not in ("__init__", "__pycache__"))
MAY |= {f"stages.{stage}": {*LIBRARIES, "dataset"} for stage in STAGES}  # so that no stage imports another
MODULES = sorted(path.relative_to(CORE) for path in CORE.rglob("*.py") if path.name != "__init__.py")


def room(parts: tuple[str, ...]) -> str:
    """Return the room of a module: its package, or its stage."""
    return ".".join(parts[:2] if parts[0] == "stages" else parts[:1])


def imported(path: Path) -> set[str]:
    """Return the rooms that a module imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse((CORE / path).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dicomzarr":
            _, *parts = (node.module or "").split(".")
            for alias in node.names:
                found.add(room((*parts, alias.name)))
        elif isinstance(node, ast.Import):
            found |= {room(tuple(a.name.split(".")[1:])) for a in node.names if a.name.startswith("dicomzarr.")}
    return found


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down(module: Path) -> None:
    here = room(module.with_suffix("").parts)
    if here != "commands":  # the words of ./run may use anything
        assert imported(module) - {here} <= MAY[here]


def test_images_are_written_by_one_function() -> None:
    """A frame's way goes forward only: file, decoder, `write_image`, shard."""
    doors = {"dicomzarr.arrays.write_image", "dicomzarr.arrays.zarr_reader"}
    for path in [*CORE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and path.parent.name != "arrays":
                module = node.module or ""
                names = {f"{module}.{alias.name}" for alias in node.names} if module == "dicomzarr.arrays" else {module}
                assert {name for name in names if name.startswith("dicomzarr.arrays")} <= doors, path


def test_packages_hold_a_docstring_alone() -> None:
    """A re-export in a package would make each edit of what it names rerun all that reaches the package."""
    for path in CORE.rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path.relative_to(CORE)


def test_each_rule_has_a_script_and_a_stage_of_its_name() -> None:
    rules = {path.stem for path in (ROOT / "rules").glob("*.smk")} - {"common"}
    assert rules <= {path.stem for path in (ROOT / "scripts").glob("*.py")}
    shared = {"export_png": "export", "export_npz": "export", "export_nifti": "export", "export_preview": "export"}
    shared |= {"report_depth": "report_tables", "report_size": "report_tables"}
    assert {shared.get(rule, rule) for rule in rules} <= set(STAGES)


def test_no_file_outgrows_its_name() -> None:
    lengths = {str(m): (CORE / m).read_text().count("\n") for m in MODULES if str(m) != "dataset.py"}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
