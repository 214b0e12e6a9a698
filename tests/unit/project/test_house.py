"""The structure of the code: which package may import which, and the names of rules, scripts and stages."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

CORE = ROOT / "scripts" / "dicomzarr"
LIBRARIES = {"vocabulary", "dicom", "system", "source", "records", "privacy", "headers", "pixels", "volumes", "arrays"}
LIBRARIES |= {"masks", "publishing"}
ALLOWED_IMPORTS: dict[str, set[str]] = {
    "vocabulary": set(),
    "remote": set(),
    "dataset": {"remote"},
    "dicom": {"vocabulary"},
    "system": {"vocabulary"},
    "source": {"dicom", "system", "vocabulary"},
    "records": {"source", "dicom", "system", "vocabulary"},
    "privacy": {"system", "dicom", "vocabulary"},
    "headers": {"source", "privacy", "dicom", "system", "vocabulary"},
    "pixels": {"dicom", "system", "vocabulary"},
    "burned_in": {"pixels", "dicom", "system", "vocabulary"},
    "volumes": {"dicom", "vocabulary"},
    "masks": {"dicom", "vocabulary"},
    "arrays": {"volumes", "masks", "system", "dicom", "vocabulary", "dataset"},
    "publishing": {"remote", "records", "system", "vocabulary"},
    "retrieval": {"headers", "system", "vocabulary"},
    "terminal": {"system", "vocabulary"},
    "viewer": {"pixels", "dataset", "vocabulary"},
    "review": {"viewer", "records", "system", "vocabulary"},
    "workflow": {"records", "source", "system", "privacy", "dicom", "masks", "vocabulary"},
}
ALLOWED_IMPORTS["workflow"] |= {"publishing", "terminal", "stages.join_labels"}
STAGES = sorted(path.stem for path in (CORE / "stages").iterdir() if path.stem not in ("__init__", "__pycache__"))
ALLOWED_IMPORTS |= {f"stages.{stage}": {*LIBRARIES, "dataset"} for stage in STAGES}  # no stage imports another
ALLOWED_IMPORTS["stages.extract_batch"].add("burned_in")
ALLOWED_IMPORTS["stages.write_cards"].add("stages.render_report")  # but the card has the numbers of the report
ALLOWED_IMPORTS["stages.write_crate"].add("stages.write_cards")  # and the crate the words of the cards
MODULES = sorted(path.relative_to(CORE) for path in CORE.rglob("*.py") if path.name != "__init__.py")


def package_of(parts: tuple[str, ...]) -> str:
    """Return the package of a module, or its stage."""
    return ".".join(parts[:2] if parts[0] == "stages" else parts[:1])


def imported(path: Path) -> set[str]:
    """Return the packages that a module imports, also inside functions."""
    packages = set()
    for node in ast.walk(ast.parse((CORE / path).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dicomzarr":
            _, *parts = (node.module or "").split(".")
            for alias in node.names:
                packages.add(package_of((*parts, alias.name)))
        elif isinstance(node, ast.Import):
            packages |= {
                package_of(tuple(a.name.split(".")[1:])) for a in node.names if a.name.startswith("dicomzarr.")
            }
    return packages


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_are_allowed(module: Path) -> None:
    here = package_of(module.with_suffix("").parts)
    if here != "commands":  # the commands of ./run may import all packages
        assert imported(module) - {here} <= ALLOWED_IMPORTS[here]


def test_the_map_of_the_code_says_the_same() -> None:
    """Compare with the table in CONTRIBUTING.md, but for its row of the stages, which is in words."""
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    table = {name.removesuffix(".py"): set(re.findall(r"`([\w.]+)`", rooms)) for name, rooms in rows}
    assert table.pop("commands") == set() and table.pop("stages")
    assert table == {room: rooms for room, rooms in ALLOWED_IMPORTS.items() if not room.startswith("stages.")}


def test_images_are_written_by_one_function() -> None:
    """Frames pass one way: file, decoder, `write_image`, shard; masks by `write_masks`. Other modules are internal."""
    public_modules = {f"dicomzarr.arrays.{module}" for module in ("write_image", "write_masks", "zarr_reader")}
    for path in [*CORE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and path.parent.name != "arrays":
                module = node.module or ""
                names = {f"{module}.{alias.name}" for alias in node.names} if module == "dicomzarr.arrays" else {module}
                assert {name for name in names if name.startswith("dicomzarr.arrays")} <= public_modules, path


# They say of one results folder what is there, and act on it: an error of the disk must not pass for absence.
ASKING = ("records", "stages", "workflow", "system", "privacy", "publishing", "source", "commands")
# Before the environment; entries that were listed, what a job has written, or files of Snakemake.
ASKED_OTHERWISE = (
    *(f"commands/{name}" for name in ("launcher", "demo", "development", "browser", "explain/facts")),
    *("stages/render_report", "workflow/code_digest", "workflow/snakemake_quirks/known_inputs"),
)


def test_what_is_at_a_path_is_asked_where_errors_are_no_absence() -> None:
    """Up to Python 3.13, `Path.exists` and its like raise errors such as EACCES, EIO and ESTALE; then no longer."""
    asked = [
        f"{place}:{node.lineno}"
        for folder in ASKING
        for module in sorted((CORE / folder).rglob("*.py"))
        if not (place := str(module.relative_to(CORE))).startswith(ASKED_OTHERWISE)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and not node.args
        and not node.keywords
        and node.func.attr in ("exists", "is_file", "is_dir", "is_symlink")
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("e", "entry"))  # of a listing
    ]
    assert asked == []


def test_package_files_hold_only_a_docstring() -> None:
    """With a re-export, an edit of the re-exported module would rerun every rule that reaches the package."""
    for path in CORE.rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path.relative_to(CORE)


def test_each_rule_has_a_script_and_a_stage_of_its_name() -> None:
    rules = {path.stem for path in (ROOT / "rules").glob("*.smk")} - {"common"}
    assert rules <= {path.stem for path in (ROOT / "scripts").glob("*.py")}
    shared = {rule: "export" for rule in rules if rule.startswith("export_")}
    shared |= {"report_depth": "report_tables", "report_size": "report_tables"}
    assert {shared.get(rule, rule) for rule in rules} <= set(STAGES)


def test_test_files_have_different_names() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) > 200  # a run of all tests imports each by its name alone
    assert [name for name, number in names.items() if number > 1] == []


def test_no_test_file_imports_another() -> None:
    """What several need is in tests/support, where a reader looks for it."""
    importing = re.compile(r"^(from|import) test_", re.MULTILINE)
    assert [str(path) for path in (ROOT / "tests").rglob("test_*.py") if importing.search(path.read_text())] == []


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {str(m): (CORE / m).read_text().count("\n") for m in MODULES if str(m) != "dataset.py"}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
