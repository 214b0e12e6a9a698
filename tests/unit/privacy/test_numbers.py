"""The privacy search looks at numbers: in JSON, in tables, and in the small arrays beside an image."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.arrays import ome_metadata, shard_writer
from dicomzarr.privacy import file_contents
from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.privacy.plain_words import own_words
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.stages import check_privacy
from dicomzarr.stages.write_cards import columns
from dicomzarr.system.results_folder import Results

OWN = own_words(ROOT)
DATES = st.dates(min_value=date(1850, 1, 1), max_value=date(2099, 12, 31))
NOBODY = Scanner(frozenset(), OWN)
FACTS: dict[str, Any] = {
    "modality": "MR",
    "bits_stored": 16,
    "rescale": [[1.0, -1024.0], None],
    "window": [[40.0, 400.0], [50.0, 350.0]],
    "t_axis": {"means": ["b_value", "echo_time_ms"], "values": [[0.0, 4.6], [1000.0, None]]},
    "acquisition": {"b_vector": [0.0, 0.6, 0.8], "echo_time_ms": 4.6, "radionuclide_half_life_s": 6586.2},
    "affine_lps": [[0.5, 0, 0, -123.456789012], [0, 0.5, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]],
    "positions_mm": [0.0, 2.5, 6.25],
    "positions_lps": [[-20.031117, 0.0, 5.0], [0.0, 0.0, 7.5]],
    "real_world_value": [1.0, 0.0],
    "palette": {"first": 0, "bits": 16, "red": [0, 65535], "green": [1, 2], "blue": [3, 4]},
    "padding_value": -2000,
}


def group(facts: dict[str, Any]) -> bytes:
    """Return the zarr.json of an image group."""
    attributes = {"ome": {"version": "0.5"}, "dicomzarr": facts}
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}).encode()


def scanner(*texts: tuple[str, str]) -> Scanner:
    return Scanner(frozenset(n for kind, text in texts for n in identifiers_of(kind, text.encode())), OWN)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each number within lists and dicts."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [inner for key, item in items for inner in places(item, (*path, key))]
    return [path] if isinstance(value, (int, float)) else []


def planted(path: tuple[Any, ...], number: float) -> dict[str, Any]:
    facts = copy.deepcopy(FACTS)
    holder: Any = facts
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = number
    return facts


# ---- Dates


@given(
    day=DATES,
    path=st.sampled_from(places(FACTS)),
    form=st.sampled_from(["{}", "{}.0", "-{}", "{}.25", "{}0715", "{}071539", "{}071539.25"]),
)
def test_a_date_in_any_attribute_is_found(day: Any, path: tuple[Any, ...], form: str) -> None:
    text = form.format(f"{day:%Y%m%d}")
    leak = NOBODY.content(group(planted(path, json.loads(text))), "zarr.json")
    assert leak is not None and leak.code == "date_in_number" and leak.line == 1
    assert leak.attribute.split(".")[0] == path[0]
    of_source = scanner(("DA", f"{day:%Y%m%d}")).content(group(planted(path, json.loads(text))), "zarr.json")
    assert of_source is not None and of_source.code in ("number_in_file", "date_in_number")


ORDINARY = st.one_of(
    st.integers(-(10**7) + 1, 10**7 - 1),
    st.floats(-9.9e6, 9.9e6, allow_nan=False),
    st.floats(-1.0, 1.0, allow_nan=False),
    st.sampled_from([2**31 - 1, -(2**31), 2**32 - 1, 2**63, 1e300, 20031399, 18991300, 20000000.0, 370000000.0]),
)


@given(numbers=st.lists(ORDINARY, min_size=1, max_size=9), path=st.sampled_from(places(FACTS)))
def test_ordinary_numbers_are_no_finding(numbers: list[float], path: tuple[Any, ...]) -> None:
    search = scanner(("DA", "20031117"), ("LO", "17"), ("LO", "1234567"), ("UI", "1.2.826.0.1.3680043.8.498.17"))
    for number in numbers:
        assert search.content(group(planted(path, number)), "zarr.json") is None
    assert (
        search.content(json.dumps({"counts": {"files": 20031117, "read_bytes": 20031117}}).encode(), "a.json") is None
    )


def test_a_measure_with_a_unit_may_read_as_a_date() -> None:
    assert NOBODY.content(group({"acquisition": {"dose_bq": 19870523.0}}), "zarr.json") is None
    leak = NOBODY.content(group({"acquisition": {"dose": 19870523.0}}), "zarr.json")
    assert leak == Leak("date_in_number", 1, "acquisition.dose")


# ---- Numbers of the source


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("DA", "20031117", 20031117),
        ("DA", "2003.11.17", 20031117.0),
        ("DT", "20031117101530.123+0100", 20031117),
        ("DT", "20031117101530.123+0100", 20031117101530.0),
        ("LO", "47110815", 47110815),
        ("LO", "0047110815", -47110815.0),
        ("LO", "MRN47110815X", 47110815),
        ("SH", "4711-0815-99", 4711081599),
        ("SH", "+49 (30) 1234567", 49301234567.0),
        ("LO", "12345678901234567", 12345678901234568.0),  # as a double
        ("UI", "1.2.840.113619.2.1762583153.215", 1762583153),
        ("UI", "1.2.826.0.1.3680043.8.20031117.5", 20031117.0),
        ("path", "IM_47110815.dcm", 47110815),
        ("path", "2003-11-17", 20031117),
        ("LT", "call 01701234567 before noon", 1701234567),
    ],
)  # fmt: skip
def test_a_number_of_the_source_is_found_as_a_number(kind: str, text: str, number: float) -> None:
    search = scanner((kind, text))
    written = json.dumps(number)
    for data, name in (
        (f'{{"attributes":{{"dicomzarr":{{"window":[[{written},1.0]]}}}}}}', "zarr.json"),
        (f'{{"counts":{{"series":{written}}}}}', "dataset.json"),
        (f'{{"a":1}}\n{{"params":{{"b":{written}}}}}\n', "00.jsonl"),
        (f"array,label_x\na,{written}\n", "volumes.csv"),
    ):
        leak = search.content(data.encode(), name)
        assert leak is not None and leak.code in ("number_in_file", "value_in_file"), data
        assert NOBODY.content(data.encode(), name) is None or "attributes" in data
        assert str(abs(int(number))) not in str(leak)
    other = f'{{"attributes":{{"x":{json.dumps(abs(number) * 3)}}}}}'
    assert search.content(other.encode(), "zarr.json") is None


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("LO", "17", 17),
        ("LO", "1234567", 1234567),
        ("LO", "00001234", 1234),
        ("UI", "1.2.840.10008.5.1.4.1.1.2", 10008),
        ("UI", "1.2.826.12345678.1", 12345678),  # eight digits of a UID that are no date: a registered root
        ("TM", "101530", 101530),
        ("DS", "400", 400),
    ],
)
def test_short_numbers_and_roots_of_uids_are_not_searched(kind: str, text: str, number: float) -> None:
    assert scanner((kind, text)).content(group({"window": [number, 1.0]}), "zarr.json") is None


@pytest.mark.parametrize("column", ["observed_min", "observed_max", "unpadded_min", "unpadded_max"])
def test_a_voxel_may_have_the_value_of_a_number_of_the_source(column: str) -> None:
    """Of 32-bit data some do by chance; in a header it is another thing."""
    search = scanner(("LO", "47110815"), ("DA", "20031117"))
    for number in ("47110815", "20031117.0"):
        assert search.content(f"array,{column}\na,{number}\n".encode(), "depth.csv") is None
        assert search.content(f"array,declared_min\na,{number}\n".encode(), "depth.csv") is not None


def test_columns_of_numbers_that_are_searched_come_from_headers_or_are_small() -> None:
    """Whatever else is counted or measured can equal a number of the source by chance."""
    from_headers = {"declared_min", "declared_max", "padding_value"}
    small = {"bits_allocated", "bits_stored", "bits_used", "missing_slices", "masks", "failed", "series"}
    search = scanner(("LO", "47110815"))
    searched = {
        column.name
        for table in columns.TABLES
        for column in table.columns
        if column.kind in (columns.INTEGER, columns.NUMBER)
        and search.content(f"array,{column.name}\na,47110815\n".encode(), Path(table.path).name)
    }
    assert searched == from_headers | small


@pytest.mark.parametrize("name", ["nifti/0123456789abcdef/01234567.json", "npz/0123456789abcdef.npz"])
def test_in_an_export_too_counts_and_doses_may_equal_a_number_of_the_source(tmp_path: Path, name: str) -> None:
    """A mask of a body has some twenty million voxels, and a dose in becquerel stands in a comment, too."""
    search = scanner(("DA", "20031117"), ("LO", "FDG, dose 370000000 Bq"))

    def found(facts: dict[str, Any]) -> Leak | None:
        path = tmp_path / Path(name).name
        if path.suffix == ".npz":
            np.savez(path, **{"01234567_attributes": np.array(json.dumps(facts))})
        else:
            path.write_text(json.dumps(facts))
        return file_contents.search_file(search, str(path), f"results/exports/{name}", with_voxels=False)[0]

    mask = {"voxels": 20031117, "foreground": {"count": 20031117, "every": 7}}
    assert found({"acquisition": {"dose_bq": 370000000.0}, "masks": {"liver": mask}}) is None
    for facts in (
        {"acquisition": {"dose_bq": 1.0, "b_value": 370000000.0}},
        {"masks": {"liver": mask | {"outside": 20031117}}},
        {"masks": {"voxels": 20031117}},
        {"window": {"voxels": [20031117.0, 1]}},
        {"rescale": ["370000000", "20031117"]},
    ):
        leak = found(facts)
        assert leak and leak.code in ("number_in_file", "value_in_file"), facts


def test_a_name_of_an_attribute_that_is_not_ours_is_not_reported() -> None:
    assert NOBODY.content(group({"zyxwolf": 20031117}), "zarr.json") == Leak("date_in_number", 1, "")


def test_numbers_of_snakemake_are_times_and_sizes() -> None:
    identifiers = frozenset(identifiers_of("DA", b"20031117"))
    snakemake = Scanner(identifiers, OWN, with_numbers=False)
    assert snakemake.content(b'{"starttime": 20031117.25}', "record.json") is None


def test_a_number_with_a_fraction_is_found_in_texts_too() -> None:
    assert scanner(("DA", "20031117")).content(b"window 20031117.0 of a series") == Leak("value_in_file", 1)
    assert scanner(("DA", "20031117")).content(b"window 20031118.0, version 1.20031117.0") is None


# ---- Small arrays


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    (folders.private / "cache").mkdir(parents=True)
    identifiers = IdentifierFile(folders.private / "cache" / IDENTIFIERS, "code")
    identifiers.add([*identifiers_of("LO", b"4711081599"), *identifiers_of("DA", b"20031117")])
    identifiers.save()
    (folders.images / "0123456789abcdef" / "01234567").mkdir(parents=True)
    return folders


def search(results: Results) -> int:
    return check_privacy.check_privacy(results, results.root.parent, "standard", "code")


SMALL = {"rescale": 2, "window": 2, "t_values": 1, "positions_mm": 1, "positions_lps": 3, "palette_red": 1}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("number", "code"), [(4711081599, "number_in_file"), (20031117, "number_in_file"), (18990223, "date_in_number")]
)
def test_a_number_in_a_small_array_is_found(results: Results, name: str, number: int, code: str) -> None:
    folder = results.images / "0123456789abcdef" / "01234567"
    values = np.linspace(-1000, 65535, 600 * SMALL[name]).reshape(600, -1)
    values[7, 0] = np.nan
    axes = ["index", "component"]
    shard_writer.write_small_array(folder / name, values, axes)
    assert search(results) > 0 and search(results) == 0
    values[599, -1] = number
    (folder / name / "c/0/0").unlink()
    for data in (values, np.nan_to_num(values).astype("<i8")):
        shard_writer.write_small_array(folder / name, data, axes)
        for _ in range(2):
            with pytest.raises(check_privacy.PrivacyProblem) as caught:
                search(results)
            place = f"results/dataset/images.zarr/0123456789abcdef/01234567/{name}/c/0/0"
            assert f"{code} in {place}" in str(caught.value) and str(number) not in str(caught.value)


@given(values=st.lists(ORDINARY.map(float), min_size=1, max_size=20), day=DATES, place=st.integers(0, 19))
def test_any_date_among_ordinary_values_of_an_array_is_found(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], day: Any, place: int
) -> None:
    folder = tmp_path_factory.mktemp("array")
    shard_writer.write_small_array(folder / "a", np.array(values), ["index"])
    assert NOBODY.array(folder / "a/c/0") is None
    values.insert(min(place, len(values)), float(f"{day:%Y%m%d}"))
    shard_writer.write_small_array(folder / "b", np.array(values), ["index"])
    assert NOBODY.array(folder / "b/c/0") == Leak("date_in_number")


def test_an_array_of_another_writer_is_searched_as_bytes(tmp_path: Path) -> None:
    shard_writer.write_small_array(tmp_path / "a", np.arange(4.0), ["index"])
    (tmp_path / "a/c/0").write_bytes(b"Zyxwolf^Canaria")
    assert scanner(("PN", "Zyxwolf^Canaria")).array(tmp_path / "a/c/0") == Leak("value_in_file", 1)


def test_the_finding_names_the_attribute_and_not_the_value(results: Results) -> None:
    (results.images / "0123456789abcdef/01234567/zarr.json").write_bytes(group({"window": [18990223.0, 400.0]}))
    with pytest.raises(check_privacy.PrivacyProblem) as caught:
        search(results)
    message = str(caught.value)
    assert "date_in_number in results/dataset/images.zarr/0123456789abcdef/01234567/zarr.json" in message
    assert "line 1, attribute window" in message and "18990223" not in message


def test_lists_that_are_written_beside_an_image_are_searched_as_small_arrays() -> None:
    """Every list that may become an array has a name that the search takes for one."""
    from dicomzarr.privacy.file_contents import _SMALL_ARRAY

    names = {*SMALL, "one_file", "modality_lut", "palette_green", "palette_blue"}
    assert ome_metadata.MANY > 0
    for name in names:
        assert _SMALL_ARRAY.fullmatch(f"results/dataset/images.zarr/0123456789abcdef/01234567/{name}/c/0/0")
    assert not _SMALL_ARRAY.fullmatch("results/dataset/images.zarr/0123456789abcdef/01234567/0/c/0/0")
