"""Forms of a value that no writer of this project uses, and what others make of a name: each is found."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import string
import struct
import sys
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dicomzarr.arrays.shard_writer import write_small_array
from dicomzarr.dicom.vr import LABELS, TEXT_VRS
from dicomzarr.privacy import escapes, grouped_numbers, needles
from dicomzarr.privacy.identifiers import Gatherer, identifiers_of
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.privacy.words import WITHOUT_END, is_placeholder
from dicomzarr.privacy.xattrs import search_xattrs
from dicomzarr.stages.write_crate.crate import NOT_PUBLISHED
from dicomzarr.system.path_text import encode_path

NAME, PID, DAY, ACCESSION = "Zyxwolf^Canaria", "CANPID7719", "19370203", "77412093845"
LATIN_1 = st.text("äöüßéèñçøabcdeiklmnorstu", min_size=6, max_size=20).filter(lambda name: not is_placeholder(name))
# Digits of all scripts; only those of one script make a number.
ZEROS = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.digit(chr(code), None) == 0]
ZEROS = [zero for zero in ZEROS if unicodedata.category(zero) == "Nd"]
# No byte of these characters in UTF-16 is 0.
HAN = st.text(st.characters(min_codepoint=0x4E01, max_codepoint=0x9FFE), min_size=4, max_size=4)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    gatherer = Gatherer()
    gatherer.add(
        b"a/b", [("PN", NAME.encode()), ("LO", PID.encode()), ("DA", DAY.encode()), ("SH", ACCESSION.encode())]
    )
    return Scanner(frozenset(gatherer.take()), frozenset())


def of_name(name: str, kind: str = "PN") -> Scanner:
    return Scanner(frozenset(identifiers_of(kind, name.encode())), frozenset())


@given(LATIN_1, st.sampled_from(["latin-1", "utf-8"]), st.integers(1, 2))
def test_a_percent_encoded_path_is_found_in_either_character_set(name: str, charset: str, times: int) -> None:
    text = encode_path(f"a/{name}/b".encode(charset))
    text = "".join(f"%{byte:02x}" for byte in name.encode(charset)) if text.isascii() else text
    if times == 2:
        text = text.replace("%", "%25")
    assert of_name(name).content(f"path: {text}\n".encode()) is not None
    assert of_name(name).content(json.dumps({"url": f"s3://bucket/{text}"}).encode(), "a.json") is not None


@given(HAN, st.sampled_from(["utf-16-le", "utf-16-be"]), st.sampled_from(["", "note.json", "note.csv"]))
def test_utf_16_with_its_mark_is_read_also_without_a_zero_byte(name: str, charset: str, file: str) -> None:
    data = f"\ufeff{name}".encode(charset)
    assert of_name(name).content(data, file) is not None


@pytest.mark.parametrize("mark", [b"iCCP", b"tEXt", b"\x6c", b"\x00\x00l", b"\xff\xfe\x00A"])
def test_a_text_is_found_directly_behind_letters_of_a_format(scanner: Scanner, mark: bytes) -> None:
    data = bytes(range(32)) + mark + b"Canaria Zyxwolf\0\0" + zlib.compress(b"x") + bytes(range(128, 256))
    assert scanner.content(data) is not None
    assert scanner.content(data.replace(b"Zyxwolf", b"Hamburg").replace(b"Canaria", b"Bavaria")) is None


def tables(text: str) -> dict[str, list[int]]:
    data = text.encode().ljust(len(text) + len(text) % 2)
    return {
        "a character in each entry": [*data],
        "of 8 bits in words": [byte << 8 for byte in data],
        "of 8 bits, scaled": [byte * 257 for byte in data],
        "two in each entry": [*struct.unpack(f"<{len(data) // 2}H", data)],
        "two, in the other order": [*struct.unpack(f">{len(data) // 2}H", data)],
    }


@pytest.mark.parametrize("form", [form for form in tables("") if form != "of 8 bits, scaled"])
def test_a_text_is_found_in_a_list_of_numbers(scanner: Scanner, tmp_path: Path, form: str) -> None:
    values = [0, *range(1, 40), *tables(f"the patient is {NAME} {PID} ")[form], *range(40)]
    metadata = {"attributes": {"dicomzarr": {"palette": {"bits": 16, "red": values}}}}
    assert scanner.content(json.dumps(metadata).encode(), "zarr.json") == Leak("value_encoded")
    write_small_array(tmp_path / "palette_red", np.asarray(values), ["index"])
    assert scanner.array(tmp_path / "palette_red" / "c" / "0") == Leak("value_encoded")
    for other in (range(256), range(0, 65536, 257), [value // 2 for value in values]):
        metadata["attributes"]["dicomzarr"]["palette"]["red"] = [*other]
        assert scanner.content(json.dumps(metadata).encode(), "zarr.json") is None


@pytest.mark.parametrize("text", ["12345678", "87654321", "13579135"])
def test_a_text_is_found_though_its_characters_count(text: str) -> None:
    metadata = {"attributes": {"palette": {"red": [*text.encode()]}}}
    assert of_name(text, "LO").content(json.dumps(metadata).encode(), "zarr.json") == Leak("value_encoded")


@given(st.sampled_from(string.ascii_letters + string.digits), st.integers(5, 64), st.sampled_from(["PN", "LO", "path"]))
def test_one_character_repeated_identifies_nobody(character: str, count: int, kind: str) -> None:
    """Such a word stands where a value was removed; beside other words, these count as they do alone."""
    removed = character * count
    assert of_name(removed, kind).content(f"{removed}\n{{'a': {removed}}}\n".encode()) is None
    assert of_name(f"{removed}^{removed}", "PN").content(f"{removed * 2}\n".encode()) is None
    scanner = of_name(f"{removed}^Zyxwolf", kind)
    assert scanner.content(f"{removed} and others\n".encode()) is None
    assert (scanner.content(b"Zyxwolf\n") is None) == (kind == "LO")  # of other texts the words in a row are one
    assert of_name(f"{removed}Wolf", kind).content(f"{removed}Wolf\n".encode()) is not None


@pytest.mark.parametrize("text", ["99991231", "9999-12-31", "9999.12.31"])
def test_a_date_without_end_identifies_nobody(text: str) -> None:
    assert NOT_PUBLISHED.replace("-", "") == WITHOUT_END
    for kind in ("DA", "LO", "PN", "path"):
        assert of_name(text, kind).content(f'{{"a": "{NOT_PUBLISHED}", "b": {WITHOUT_END}}}'.encode(), "a.json") is None
    assert of_name("9998-12-31", "LO").content(b"9998-12-31") is not None


@given(st.integers(0, 900), st.integers(11, 300), st.sets(st.integers(0, 1200)), st.booleans())
@example(0, 159, {47, 60}, False)  # files 48 to 57 are the characters 0 to 9
@example(40, 60, {47, 60}, True)
@example(0, 300, set(), False)
def test_indices_of_the_files_of_a_volume_are_no_text(first: int, count: int, missing: set[int], down: bool) -> None:
    """A volume need not have the first file of its series, nor each file: the others are in other volumes."""
    indices = sorted((index for index in range(first, first + count) if index not in missing), reverse=down)
    assume(len(indices) > 10)
    record = json.dumps({"volumes": [{"inputs": indices}]}, separators=(",", ":")).encode()
    for identifier in ("0123456789", "9876543210"):
        assert of_name(identifier, "LO").content(record, "a1.jsonl") is None
    assert not [*escapes.bytes_of_numbers(indices)]


@pytest.mark.parametrize(
    "text",
    ["1937-02-03", "03.02.1937", "3.2.1937", "02/03/1937", "1937/2/3", "1937-02-03T07:15:39Z", "x1937-02-03.png"],
)
def test_a_date_of_the_source_is_found_with_separators(scanner: Scanner, text: str) -> None:
    assert scanner.content(f"born {text}, in town\n".encode()) == Leak("value_in_file", 1)
    assert scanner.content(json.dumps({"a": text}).encode(), "a.json") is not None
    assert scanner.content(f"a,b\n1,{text}\n".encode(), "a.csv") is not None
    assert scanner.name(text.replace("/", "-")) == Leak("value_in_name")


@pytest.mark.parametrize(
    "text", ["1.2.1937.02.03.4", "1937-02-04", "11937-02-03", "1937-02/03", "1937-02-03-1", "1937-02-030"]
)
def test_what_is_no_date_of_the_source_is_none(scanner: Scanner, text: str) -> None:
    assert scanner.content(f"born {text}, in town\n".encode()) is None


@pytest.mark.parametrize("kind", ["LO", "PN", "path"])
@pytest.mark.parametrize("text", ["1937.02.03", "seen 03.02.1937 again", "Zyxwolf_1937-02-03", "2/3/1937"])
def test_a_date_within_a_text_is_found_in_other_forms(kind: str, text: str) -> None:
    scanner = Scanner(frozenset(identifiers_of(kind, text.encode())), frozenset())
    for form in ("19370203", "1937-02-03", "3.2.1937"):
        assert scanner.content(f"born {form}, in town\n".encode()) is not None, form
        assert scanner.content(f"born {form.replace('3', '4')}, in town\n".encode()) is None, form


def test_a_date_that_is_published_is_no_leak(scanner: Scanner) -> None:
    chosen = frozenset(grouped_numbers.dates_in("released 1937-02-03"))
    identifiers = frozenset(identifiers_of("DA", DAY.encode()))
    assert chosen == {DAY}
    assert Scanner(identifiers, frozenset()).content(b"date-released: 1937-02-03\n") is not None
    assert Scanner(identifiers, chosen).content(b"date-released: 1937-02-03\n") is None
    assert Scanner(identifiers, frozenset(), with_numbers=False).content(b"[Tue Feb 3 1937-02-03] rule all\n") is None


@given(st.text(string.ascii_letters, min_size=5, max_size=12), st.integers(0, 9999), st.booleans())
def test_a_name_is_found_with_a_number_at_one_end(name: str, number: int, behind: bool) -> None:
    assume(not is_placeholder(name.lower()))
    text = f"{name}{number}" if behind else f"{number}{name}"
    assert of_name(name).content(f"case_{text}.nii\n".encode()) is not None


@given(st.sampled_from(ZEROS), st.sampled_from(ZEROS))
def test_digits_of_all_scripts_are_the_same(one: str, other: str) -> None:
    def written(zero: str) -> str:
        return "".join(chr(ord(zero) + int(digit)) for digit in ACCESSION)

    assert of_name(written(one), "LO").content(f"order {written(other)}.\n".encode()) is not None


@given(st.sampled_from("\u00ad\u200b\u200c\u200d\u2060\ufeff"), st.integers(1, 6))
def test_characters_without_a_width_hide_no_name(sign: str, at: int) -> None:
    name = NAME.split("^", maxsplit=1)[0]
    hidden = f"{name[:at]}{sign}{name[at:]}"
    assert of_name(name).content(f"a {hidden} b\n".encode()) is not None
    assert of_name(hidden).content(f"a {name} b\n".encode()) is not None


@pytest.fixture
def with_xattrs(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "dataset.json").write_text("{}")
    try:
        os.setxattr(folder, "user.test", b"nothing")
    except OSError:
        pytest.skip("a file system without extended attributes")
    return folder


@pytest.mark.parametrize(("name", "value"), [("user.origin", NAME.encode()), ("user.Zyxwolf", b"x")])
@pytest.mark.parametrize("place", [".", "dataset.json"])
def test_extended_attributes_are_searched(
    scanner: Scanner, with_xattrs: Path, name: str, value: bytes, place: str
) -> None:
    assert search_xattrs(scanner, str(with_xattrs / place)) is None
    os.setxattr(with_xattrs / place, name, value)
    assert search_xattrs(scanner, str(with_xattrs / place)) == Leak("value_in_xattr")
    os.symlink("dataset.json", with_xattrs / "link")
    assert search_xattrs(scanner, str(with_xattrs / "link")) is None
    names = with_xattrs.parent / "names.txt"
    names.write_text("Niemand Wildfremd\nCanaria Zyxwolf\n")
    found = needles.NeedleSearch(needles.read_needles(names), frozenset(), with_voxels=True).run(with_xattrs)
    assert [(hit.place, hit.code, hit.needle) for hit in found.hits] == [(place, "value_in_xattr", 2)]


@pytest.mark.parametrize("number", ["010185-1234", "850101-1234567", "19850101-1234", "123-45-6789", "12-345678"])
@pytest.mark.parametrize("as_stored", [str, lambda number: number.replace("-", ""), "id {} (old)".format])
def test_a_number_of_a_person_is_found_with_and_without_hyphens(number: str, as_stored: Callable[[str], str]) -> None:
    scanner = of_name(as_stored(number), "LO")
    for form in (number, number.replace("-", "")):
        assert scanner.content(f"of {form}.\n".encode()) == Leak("value_in_file", 1)
        assert scanner.content(json.dumps({"path": f"a/{form}_CT.dcm"}).encode(), "a.json") is not None
        assert scanner.content(f"a,b\n1,{form}\n".encode(), "a.csv") is not None
        assert scanner.name(form) == Leak("value_in_name")


@pytest.mark.parametrize(
    "text",
    [
        "010185-1235",
        "0010185-1234",
        "1.010185-1234",
        "010185-1234.5",
        "3fa8-010185-1234",
        "010185-1234-ab12",
        "x010185-1234",
    ],
)
def test_what_is_no_number_of_a_person_is_none(text: str) -> None:
    assert of_name("010185-1234", "LO").content(f"of {text} in\n".encode()) is None


def test_names_of_batches_and_published_numbers_with_hyphens_are_no_leak() -> None:
    values = (b"0001-0000", b"00010000", b"2019-2020", b"0000-0002-1825-0097")
    identifiers = frozenset(number for value in values for number in identifiers_of("LO", value))
    chosen = frozenset(grouped_numbers.numbers_in_groups("https://orcid.org/0000-0002-1825-0097"))
    scanner = Scanner(identifiers, chosen)
    assert scanner.content(b"batch 0001-0000 of 2019-2020, by 0000-0002-1825-0097\n") is None
    assert Scanner(identifiers, frozenset()).content(b"by 0000-0002-1825-0097\n") is not None


@pytest.mark.parametrize("kind", [*sorted(TEXT_VRS), "path", ""])
@pytest.mark.parametrize(
    "value", ["2" * 6000, "12-" * 3000 + "3", "1." + "2" * 6000, "(1) " * 3000, "1937-" + "0" * 6000]
)
def test_thousands_of_digits_are_a_value_like_any_other(kind: str, value: str) -> None:
    """Python refuses to convert them to a number, which ended the run; items of a sequence may hold them."""
    assert len({*identifiers_of(kind, value.encode())}) < 4 * len(value)
    if kind not in ("path", ""):
        element = struct.pack("<HH2s", 0x3006, 0x0026, kind.encode())
        long = kind in ("UC", "UR", "UT")
        element += struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        element += value.encode()
        items = struct.pack("<HHI", 0xFFFE, 0xE000, len(element)) + element
        assert (
            [*identifiers_of(kind, value.encode())]
            == [*identifiers_of(LABELS, items)]
            == [*identifiers_of("SQ", items)]
        )


@given(st.sampled_from([*sorted(TEXT_VRS), "path", ""]), st.text("0123456789-./ ", max_size=40))
@example("LO", "2024-03-20240315120000")
def test_groups_of_digits_of_any_length_are_no_failure(kind: str, text: str) -> None:
    """Of a year, a month and a number of eleven digits Python makes no date, which ended the run."""
    assert all(0 <= number < 1 << 64 for number in identifiers_of(kind, text.encode()))
    assert all(set(form) <= {*string.digits, "-"} for form in grouped_numbers.forms_of(text))


GROUPS = st.lists(st.text("0123456789", min_size=2, max_size=6), min_size=2, max_size=5)


@given(GROUPS, st.sampled_from("-/_ "), st.sampled_from("-/_ "), st.sampled_from(["LO", "SH", "PN", "ST"]))
@example(["123456", "22345"], "/", "_", "LO")
@example(["943", "476", "5919"], " ", "-", "LO")
def test_a_number_in_groups_is_found_with_any_separator(groups: list[str], one: str, other: str, kind: str) -> None:
    digits = "".join(groups)
    assume(len(digits) >= 8 and [*map(len, groups)] != [4, 4])
    assume(not is_placeholder(digits))  # zeros, for example, stand where a writer had no number
    assume(not any(grouped_numbers.forms_of("-".join(groups)) - {digits, "-".join(groups)}))  # a date has other rules
    for scanner in (of_name(one.join(groups), kind), of_name(digits, kind)):
        for form in (other.join(groups), digits):
            assert scanner.content(f"of {form}.\n".encode()) is not None, form
            assert scanner.content(f"of {form.replace(digits[-1], 'x', 1)}.\n".encode()) is None
        assert scanner.name(f"sub_{other.join(groups)}_ses".replace("/", "-")) is not None


@pytest.mark.parametrize("number", ["12.345.678-5", "123.456.789-09", "1.234.567-8"])
def test_a_number_with_points_between_thousands_is_found(number: str) -> None:
    digits = "".join(filter(str.isdecimal, number))
    for scanner in (of_name(number, "LO"), of_name(digits, "LO")):
        for form in (number, digits):
            assert scanner.content(f"of {form}, here\n".encode()) is not None
            assert scanner.content(json.dumps({"path": f"a/{form}_CT.dcm"}).encode(), "a.json") is not None


@pytest.mark.parametrize(
    "text", ["1000/2000", "1 2 3 4 5 6 7 8", "2019 2020", "512 512 36 7", "0.94 3476 5919", "c/0/0/0/0/0/0/0/0/0"]
)
def test_other_numbers_side_by_side_are_none(text: str) -> None:
    values = ("10002000", "12345678", "20192020", "51251236", "9434765919", "34765919", "000000000")
    scanner = Scanner(
        frozenset(number for value in values for number in identifiers_of("LO", value.encode())), frozenset()
    )
    assert scanner.content(f"it has {text}\n".encode()) is None


UIDS = st.lists(st.integers(0, 10**12), min_size=5, max_size=8).map(lambda parts: ".".join(map(str, [1, *parts])))


@given(
    UIDS.filter(lambda uid: len(uid) < 65),
    st.sampled_from("-_"),
    st.sampled_from(["{}", "{}.dcm", "CT_{}", "a/{}_01.nii"]),
)
def test_a_uid_is_found_without_its_points(uid: str, sign: str, form: str) -> None:
    assume(not uid.startswith("1.2.840.10008."))
    text = (
        form.format(uid)
        .replace(".dcm", "@")
        .replace(".nii", "#")
        .replace(".", sign)
        .replace("@", ".dcm")
        .replace("#", ".nii")
    )
    text = text.replace("_", sign)
    scanner = of_name(uid, "UI")
    assert scanner.content(f"see {text} there\n".encode()) == Leak("value_in_file", 1)
    assert scanner.name(text) is not None
    assert of_name(uid + "7", "UI").name(text) is None


@given(
    st.text(string.ascii_letters, min_size=4, max_size=9),
    st.text(string.ascii_letters, min_size=4, max_size=9),
    st.sampled_from(["{}^{}", "{} {}", "{}^{}^Maria", "{}^{}=x"]),
)
def test_a_name_in_one_word_is_found(family: str, given_name: str, form: str) -> None:
    assume(not is_placeholder((family + given_name).lower()))
    scanner = of_name(form.format(family, given_name))
    for text in (family + given_name, given_name.title() + family.title(), f"{family}{given_name}1.dcm".lower()):
        assert scanner.name(text) is not None, text
    assert scanner.content(f"a {family}q{given_name} b".encode()) is None


@given(
    st.sampled_from(
        [gzip.compress, zlib.compress, bz2.compress, lambda text: b"\0" * 5000 + text.decode().encode("utf-16-le")]
    )
)
def test_what_follows_json_is_searched_like_any_other_file(packed: Callable[[bytes], bytes]) -> None:
    data = b'{"a": 1}\n' + packed(b"the patient is Zyxwolf Canaria")
    for name in ("a.json", "a.jsonl"):
        assert of_name(NAME).content(data, name) is not None
        assert of_name("Other^Name").content(data, name) is None


@pytest.mark.parametrize("column", ["frames", "bytes", "observed_max", "boxes", "histogram", "shape", "note", "extra"])
@pytest.mark.parametrize("text", [NAME, "Zyxwolf", PID, "1937-02-03"])
def test_a_text_is_found_in_each_column_of_a_table(scanner: Scanner, column: str, text: str) -> None:
    head = "array,frames,bytes,observed_max,boxes,histogram,shape,note\n"
    cells = ["a", "2003", "19370203", "19370203.5", "1937 2 3 4", "19370203" + "a" * 40, "19370203x2", "b"]
    assert scanner.content(f"{head}{','.join(cells)}\n".encode(), "volumes.csv") is None
    place = len(cells) if column == "extra" else head.strip().split(",").index(column)
    cells[place : place + 1] = [text]
    assert scanner.content(f"{head}{','.join(cells)}\n".encode(), "volumes.csv") is not None


@pytest.mark.parametrize("text", ["19370203T071539", "19370203t0715", "x_19370203T071539.4Z.dcm"])
def test_a_date_is_found_with_a_time_behind_it(scanner: Scanner, text: str) -> None:
    assert scanner.content(f"made {text} there\n".encode()) == Leak("value_in_file", 1)
    assert scanner.name(text) == Leak("value_in_name")
    assert of_name(text, "LO").content(b"on 3.2.1937 there") is not None
    assert scanner.name(text.replace("0203", "0204")) is None
