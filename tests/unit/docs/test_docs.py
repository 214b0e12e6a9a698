"""Compare the documentation with the code: generated parts, links, snippets, and all names that the code writes."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import jsonschema
import numpy as np
import pytest
import yaml
from conftest import ROOT

from dicomzarr.arrays import ome_metadata, shard_writer
from dicomzarr.dicom import transfer_syntaxes
from dicomzarr.pixels import decoders
from dicomzarr.records import export_record
from dicomzarr.system import csv_tables
from dicomzarr.vocabulary import pictures
from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.vocabulary.reasons import REASONS
from dicomzarr.vocabulary.rules import BATCH_RULES, SEALED
from dicomzarr.volumes import model, t_axis
from dicomzarr.workflow import settings, shown_config

CORE = ROOT / "scripts" / "dicomzarr"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("config/*.md"), *(ROOT / "docs").rglob("*.md")])
OUTPUTS = (ROOT / "docs" / "outputs.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


# ---- Generated parts


def test_generated_parts_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_picture_shows_every_rule_once(generate: ModuleType) -> None:
    rules = generate.read_rules(ROOT / "rules")
    names = re.findall(r"^(?:rule|checkpoint) (\w+):", "".join(p.read_text() for p in ROOT.glob("rules/*.smk")), re.M)
    assert sorted(rule.name for rule in rules) == sorted(names)
    nodes = re.findall(r"^ +(\w+)\[", generate.picture(rules), re.M)
    assert sorted(nodes) == sorted(["source", *names])


def test_the_picture_follows_the_paths(generate: ModuleType) -> None:
    edges = generate.reduced(generate.edges_of(generate.read_rules(ROOT / "rules")), generate.OPTIONAL)
    assert {("scan", "discover_files"), ("plan_batches", "extract_batch"), ("extract_batch", "check_batch")} <= edges
    assert {("check_batch", "report_size"), ("check_batch", "consolidate_dataset")} <= edges
    assert {("consolidate_dataset", "write_cards"), ("write_cards", "write_crate")} <= edges
    assert {
        ("render_report", "write_crate"),
        ("write_crate", "check_privacy"),
        ("check_privacy", "seal_dataset"),
    } <= edges
    assert {("report_depth", "join_labels"), ("join_labels", "consolidate_dataset")} <= edges
    assert ("scan", "index_headers") not in edges  # a longer path implies it
    assert "plan_batches ==> extract_batch" in README and "join_labels -.-> consolidate_dataset" in README


def test_paths_of_a_rule_are_read_through_functions(generate: ModuleType) -> None:
    functions = {"label_file": 'return [in_results("private/labels.json")] if joined else []\n'}
    text = """
        contents=ancient("<results>/a.json"),
        records=expand("<results>/{rule}.json", rule=rules_before("plan_batches")),
        batches=records_of("extract_batch"),
        labels=label_file,
    """
    assert generate.paths_in(text, functions) == (
        "<results>/a.json",
        "<results>/discover_files.json",
        "<results>/index_headers.json",
        "<results>/private/records/extract_batch/{batch}.json",
        "<results>/private/labels.json",
    )


def test_an_edge_that_a_longer_path_implies_is_left_out(generate: ModuleType) -> None:
    assert generate.reduced({("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d")}) == {
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
    }
    through_optional = {("a", "b"), ("b", "c"), ("a", "c")}
    assert generate.reduced(through_optional, {"b"}) == through_optional


def test_a_stale_part_is_replaced_and_a_page_without_markers_refused(generate: ModuleType) -> None:
    begin, end = "<!-- x: made by docs/generate.py -->", "<!-- end of x -->"
    page = f"before\n{begin}\nold\n{end}\nafter\n"
    assert generate.with_part(page, "x", "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    with pytest.raises(SystemExit, match="needs one line"):
        generate.with_part("no markers", "x", "new")


# ---- Links


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    yield from (link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link} is outside of the project"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_every_page_is_in_the_index_by_task() -> None:
    index = ROOT / "docs" / "README.md"
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {index.name} <= {*links(index)}
    assert "docs/README.md" in links(ROOT / "README.md")


def test_the_glossary_is_sorted() -> None:
    for words in (ROOT / "docs" / "glossary.md").read_text().split("\n## ")[1:]:
        rows = [word.lower() for word in re.findall(r"^\| (?!word|---)(.*?) \|", words, re.M)]
        assert rows and rows == sorted(rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_names_an_absolute_path_of_a_machine(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(home|work|tmp|Users|root)/", page.read_text())


def test_decisions_are_numbered_dated_and_short() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [page.name[:4] for page in pages]
    assert len(set(numbers)) == len(pages) and all(number.isdigit() for number in numbers)
    for page in pages:
        text = page.read_text()
        assert re.match(rf"# {page.name[:4]}: .+\n\n- Status: .+\n- Date: \d{{4}}-\d\d-\d\d\n", text)
        assert len(text.splitlines()) < 45
        assert all(f"## {part}" in text for part in ("Context", "Decision", "Consequences"))


def test_the_index_of_decisions_is_complete() -> None:
    rows = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \| (.+?) \| (.+?) \| .+ \|$",
        (ROOT / "docs" / "decisions" / "README.md").read_text(),
        re.M,
    )
    expected = []
    for page in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title, status, date = re.match(r"# \d{4}: (.+)\n\n- Status: (.+)\n- Date: (.+)\n", page.read_text()).groups()
        expected.append((page.name[:4], page.name, title, status, date))
    assert rows == expected


# ---- Snippets


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)


def tiny_dataset(results: Path) -> None:
    """Write one array of 2 x 3 x 4 voxels with the writers of the workflow."""
    array, pixels = "0123456789abcdef/01234567", np.arange(24, dtype="<i2").reshape(2, 3, 4)
    frame = model.Frame(0, 0, 1, "", "", "", "CT", (), 3, 4, 1, "<i2", "MONOCHROME2", 16, rescale=(1.0, -1024.0))
    places = tuple(model.Place(frame, None, z) for z in range(2))
    volume = model.Volume(("x",), "volume", "made up", ("z", "y", "x"), pixels.shape, places)
    folder = results / "dataset" / "images.zarr" / array
    folder.mkdir(parents=True)
    ome_metadata.write_image_group(folder, volume, {"modality": "CT"})
    shard_writer.write_array(
        folder / "0", shard_writer.chunk_grid("zyx", pixels.shape, "<i2", "slice"), "<i2", "balanced", pixels
    )
    with open(results / "dataset" / "volumes.csv", "w", newline="") as stream:
        row = dict.fromkeys(csv_tables.VOLUMES, "") | {"array": array, "axes": "zyx"}
        csv.writer(stream, lineterminator="\n").writerows([csv_tables.VOLUMES, row.values()])


def test_the_snippet_of_the_readme_opens_an_array(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "results")
    snippet = snippets(README, "python")[0]
    command = [sys.executable, "-c", snippet]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "zyx (2, 3, 4) int16 [1.0, -1024.0] None\n", done.stderr
    assert len(snippets(README, "python")) == 1, "test the new snippet too"


def commented_examples(configuration: str, keys: set[str]) -> Iterator[str]:
    """Return the examples in the comments of config.yaml: from a key at an indent of three to the end of the indent."""
    for block in re.findall(r"(?:^#   .*\n)+", configuration, re.M):
        lines = [line[4:] for line in block.splitlines(keepends=True)]
        first = [number for number, line in enumerate(lines) if line.partition(":")[0] in keys]
        yield from ["".join(lines[first[0] :])] if first else []


def test_the_configurations_of_the_pages_are_allowed() -> None:
    schema = json.loads(settings.SCHEMA.read_text())
    configuration = (ROOT / "config.yaml").read_text()
    examples = [*commented_examples(configuration, {*schema["properties"]})]
    assert len(examples) > 7
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]
    indented = [
        each for page in pages for each in re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), re.M | re.S)
    ]
    for text in [*examples, *map(textwrap.dedent, indented)]:
        written = json.loads(json.dumps(yaml.safe_load(text), default=str))  # a day of YAML is a text
        jsonschema.validate(yaml.safe_load(configuration) | written, schema)


def test_the_schema_and_the_configuration_know_the_same_keys() -> None:
    schema_keys = json.loads(settings.SCHEMA.read_text())["properties"]
    assert set(yaml.safe_load((ROOT / "config.yaml").read_text())) == set(schema_keys)


# ---- Names


def part(heading: str) -> str:
    """Return the text of docs/outputs.md below a heading, up to the next one."""
    return re.split(r"^## ", OUTPUTS.split(f"\n## {heading}\n")[1], flags=re.M)[0]


def named_in(text: str) -> set[str]:
    """Return every word in backquotes, also those of lists such as `path, frame, array`."""
    return {word for quoted in re.findall(r"`([^`\n]+)`", text) for word in quoted.split(", ")}


@pytest.mark.parametrize(
    ("columns", "heading"),
    [
        (csv_tables.VOLUMES, "dataset/volumes.csv"),
        (csv_tables.DEPTH, "dataset/reports/depth.csv"),
        (csv_tables.SIZE, "dataset/reports/size.csv"),
        (csv_tables.OUTCOMES, "dataset/reports/outcomes.csv"),
        (csv_tables.POLICY, "dataset/reports/policy.csv"),
        (csv_tables.PICTURES, "dataset/reports/pictures/ and pictures.csv"),
        (csv_tables.MANIFEST, "private/"),
        (csv_tables.ARCHIVES, "private/"),
        (csv_tables.FILES, "private/"),
        (csv_tables.FRAMES, "private/"),
        (csv_tables.MASKS, "dataset/masks.csv"),
        (csv_tables.MASK_OUTCOMES, "dataset/reports/mask_files.csv"),
        (csv_tables.MASK_FILES, "private/"),
        (csv_tables.MASK_NAMES, "private/"),
    ],
)
def test_every_column_is_documented(columns: tuple[str, ...], heading: str) -> None:
    assert not set(columns) - named_in(part(heading))


REPORTS = ("dataset/reports/depth.csv", "dataset/reports/size.csv")


@pytest.mark.parametrize("heading", ["dataset/volumes.csv", "dataset/masks.csv", *REPORTS])
def test_every_documented_column_exists(heading: str) -> None:
    columns = vars(csv_tables)[Path(heading).stem.upper()]
    rows = re.findall(r"^\| (`.*?) \|", part(heading), re.M)
    assert not {name for row in rows for name in named_in(row)} - set(columns)


@pytest.mark.parametrize(
    ("columns", "table"), [(export_record.FILES, "files.csv"), (export_record.REPORT, "report.csv")]
)
def test_exactly_the_columns_of_an_export_are_documented(columns: tuple[str, ...], table: str) -> None:
    text = (ROOT / "docs" / "exports.md").read_text().split(f"\n`{table}`: a row")[1].split("\n`")[0]
    cells = re.findall(r"^\| (`.*?) \|", text, re.M)
    assert {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} == set(columns)


def test_every_table_of_the_code_is_documented() -> None:
    known = {"MANIFEST", "ARCHIVES", "FILES", "FRAMES", "OUTCOMES", "POLICY", "VOLUMES", "DEPTH", "SIZE"}
    known |= {"MASKS", "MASK_OUTCOMES", "MASK_FILES", "MASK_NAMES", "PICTURES"}
    assert {name for name, value in vars(csv_tables).items() if name.isupper() and isinstance(value, tuple)} == known


def test_the_provenance_of_every_sealed_rule_is_documented() -> None:
    files = {f"{rule}/<xx>.jsonl" if rule in BATCH_RULES else f"{rule}.json" for rule in SEALED}
    assert not files - {re.sub(r" \(.*", "", name) for name in named_in(part("dataset/provenance/"))}


def test_every_published_key_of_the_configuration_is_documented() -> None:
    config = defaultdict[str, Any](
        str,
        burned_in="keep",
        faces="keep",
        report={"pictures": True},
        splits={"fractions": {"train": 1}, "seed": 1},
        labels=[{"file": "labels.csv", "columns": {"outcome": {"values": ["yes", "no"]}}}],
    )
    shown = set(shown_config.settings(config))
    assert len(shown) > 10
    (row,) = re.findall(r"^\| `config` \| (.*) \|$", part("dataset/dataset.json"), re.M)
    assert not shown - named_in(row)


def test_every_trouble_of_a_picture_is_documented() -> None:
    rows = part("dataset/reports/pictures/ and pictures.csv").partition("| trouble |")[2]
    assert re.findall(r"^\| `(.*?)` \| (.*?) \|$", rows, re.M) == [*pictures.TROUBLES.items()]


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs" / "reasons.md").read_text()
    for reason in REASONS.values():
        assert f"| `{reason.code}` | {reason.meaning} | {reason.remedy} |" in page


def test_pages_name_no_reason_or_flag_that_does_not_exist(generate: ModuleType) -> None:
    flags = {code for _, table in generate.FLAG_TABLES for code in table}
    words = named_in((ROOT / "docs" / "fidelity.md").read_text())
    other = {"cross_check", "spacing_tolerance", "t_axis", "parametric_map"}
    unknown = {word for word in words if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)} - flags - set(REASONS) - other
    assert not unknown


def test_every_transfer_syntax_has_its_row() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text().split("| transfer syntax")[1].split("\n\n")[0]
    shown = {f"1.2.840.10008.1.2{end}" for end in re.findall(r"`(\.[\d.]+)`", text)} | {"1.2.840.10008.1.2"}
    assert shown == set(transfer_syntaxes.DECODED)


def test_every_decoder_is_named() -> None:
    words = {
        "NATIVE": "own",
        "DEFLATE": "zlib",
        "DEFLATE_SECOND": "libdeflate",
        "JPEG": "libjpeg-turbo",
        "JPEG_SOF3": "SOF3",
        "JPEG_PILLOW": "Pillow, 8 bit",
        "JPEG_LS": "CharLS",
        "JPEG_LS_OWN": "own, from ISO/IEC 14495-1",
        "JPEG_2000": "OpenJPEG",
        "JPEG_2000_PILLOW": "Pillow's OpenJPEG",
        "HTJ2K": "OpenJPH",
        "JPEG_XL": "libjxl",
        "RLE": "PackBits",
        "RLE_OWN": "own, from PS3.5 annex G",
    }
    assert {name for name, value in vars(decoders).items() if isinstance(value, decoders.Decoder)} == set(words)
    text = (ROOT / "docs" / "fidelity.md").read_text()
    assert all(word in text for word in words.values())


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def strings(node: ast.AST) -> Iterator[str]:
    yield from (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def flags_of_the_code() -> set[str]:
    """Return the strings that the core adds or assigns to variables of flags, from its syntax trees."""
    flags: set[str] = set()
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("add", "append")
            ):
                holder, values = node.func.value, node.args
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
                holder = node.targets[0] if isinstance(node, ast.Assign) else node.target
                values = [node.value] if isinstance(node.value, (ast.Set, ast.Tuple, ast.BinOp)) else []
                if isinstance(node.value, ast.IfExp):
                    values = [node.value.body, node.value.orelse]  # a flag is not in the condition
            else:
                continue
            if re.search("flag|marks|odd|astray", ast.unparse(holder)) and path.name != "flags.py":
                flags |= {
                    text for value in values for text in strings(value) if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)
                }
    return flags


def test_every_flag_of_the_code_is_documented(generate: ModuleType) -> None:
    documented = {code for _, table in generate.FLAG_TABLES for code in table}
    assert len(flags_of_the_code()) > 25  # the search still works
    assert not flags_of_the_code() - documented
    assert set(FLAGS) <= documented
    for code in documented:
        assert f"| `{code}` |" in OUTPUTS


def test_every_documented_flag_is_in_the_code(generate: ModuleType) -> None:
    code = "".join(path.read_text() for path in CORE.rglob("*.py"))
    for _, table in generate.FLAG_TABLES:
        for flag in table:
            assert f'"{flag}"' in code


def test_every_attribute_is_documented() -> None:
    """Compare the keys that volume.py and ome_metadata.py write with the table of attributes."""
    keys: set[str] = set()
    for file, name in (("arrays/ome_metadata.py", "facts"), ("stages/extract_batch/volume.py", "_pixel_facts")):
        (function,) = (f for f in functions(CORE / file) if f.name == name)
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                keys |= {text for key in node.keys if isinstance(key, ast.Constant) for text in strings(key)}
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                keys |= set(strings(node.slice))
            elif isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
                keys |= set(strings(node.elts[0]))
    assert {"rescale", "palette", "lossy", "kind", "modality_lut"} <= keys
    assert not keys - named_in(part("dataset/images.zarr/"))


def test_every_cause_of_the_axis_t_is_documented() -> None:
    text = part("dataset/images.zarr/")
    for cause in t_axis.CAUSES:
        for key in cause.keys:
            assert key in named_in(text) or re.fullmatch("dimension_[2-8]", key)


def test_the_attributes_of_a_made_up_volume_are_documented(tmp_path: Path) -> None:
    tiny_dataset(tmp_path)
    (image,) = tmp_path.glob("dataset/images.zarr/*/*/zarr.json")
    assert set(json.loads(image.read_text())["attributes"]["dicomzarr"]) <= named_in(part("dataset/images.zarr/"))
