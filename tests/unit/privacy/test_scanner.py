"""The privacy search: which values it finds, in which encodings, and what is no leak."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import pytest
from blake3 import blake3
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID_dictionary

from dicomzarr.privacy.identifiers import (
    IDENTIFIERS,
    Gatherer,
    IdentifierFile,
    hash_of_words,
    identifiers_of,
    identifiers_of_root,
    read_identifiers,
)
from dicomzarr.privacy.plain_words import own_words
from dicomzarr.privacy.scanner import CODES, Leak, Scanner
from dicomzarr.system.path_text import encode_path

NAME, PID, UID, BIRTH = b"Zyxwolf^Canaria ", b"CANPID7719", b"1.2.826.0.1.3680043.777.1.424243\0", b"19370203"
TEXTS = [
    ("PN", NAME),
    ("LO", PID),
    ("UI", UID),
    ("DA", BIRTH),
    ("LT", b"Seen after the fall from Ponyhof, no fracture."),
]
PATH = b"Canfolder Wolf/Meierhuber.dcm"


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    gatherer = Gatherer()
    gatherer.add(PATH, TEXTS)
    return Scanner(frozenset(gatherer.take()), own_words(ROOT))


@pytest.mark.parametrize(
    "text",
    [
        "Zyxwolf^Canaria", "a name: ZYXWOLF", "canaria, zyxwolf", "id=CANPID7719;", "img_canpid7719.png",
        "1.2.826.0.1.3680043.777.1.424243", "uid_1.2.826.0.1.3680043.777.1.424243.dcm", "born 19370203",
        "fell after the fall from Ponyhof", "from ponyhof: no fracture", "canfolder", "x/meierhuber/y",
    ],
)  # fmt: skip
def test_a_value_is_found_however_it_is_written(scanner: Scanner, text: str) -> None:
    assert scanner.content(text.encode()) == Leak("value_in_file", 1)
    assert scanner.content(json.dumps({"a": [{"b": text}], text: 1}).encode(), "zarr.json") == Leak("value_in_file", 1)
    assert scanner.content(f'a,b\n1,"{text}"\n'.encode(), "volumes.csv") is not None
    assert scanner.name(f"series {text}") == Leak("value_in_name")


@given(st.text('"\\{}[]:,ab1 \n', max_size=40), st.text('"\\{}[]:,ab1 \n', max_size=40))
def test_an_id_is_found_in_a_file_that_is_json_or_is_not(scanner: Scanner, before: str, after: str) -> None:
    assert scanner.content(f"{before} {PID.decode()} {after}".encode(), "a.json") is not None


def in_zip(data: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", data)
    return archive.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "utf-16 little endian": lambda data: data.decode().encode("utf-16-le"),
    "utf-16 big endian": lambda data: b"\1" + data.decode().encode("utf-16-be"),
    "base64": base64.b64encode,
    "base64 for URLs": base64.urlsafe_b64encode,
    "hex": lambda data: data.hex().encode(),
    "hex in capitals": lambda data: data.hex().upper().encode(),
    "gzip": gzip.compress,
    "zlib within other bytes": lambda data: b"\0\1\2" + zlib.compress(data) + b"\0",
    "bzip2": bz2.compress,
    "zstd": lambda data: bytes(imagecodecs.zstd_encode(data)),
    "blosc": lambda data: bytes(imagecodecs.blosc_encode(data * 9, typesize=1)),
    "zip": in_zip,
    "base64 of gzip": lambda data: base64.b64encode(gzip.compress(data)),
    "a path of the accounts": lambda data: b"a/" + b"".join(b"%%%02X" % byte for byte in data) + b"/b",
    "HTML": lambda data: "".join(f"&#{byte};" for byte in data).encode(),
    "bytes as Python shows them": lambda data: "".join(f"\\x{byte:02x}" for byte in data).encode(),
    "escapes in a log": lambda data: "it says {}".format("".join(f"\\u{byte:04x}" for byte in data)).encode(),
    "within bytes": lambda data: bytes(range(256)) + data + bytes(range(256)),
    "JSON escapes": lambda data: '{{"a": "{}"}}'.format("".join(f"\\u{byte:04x}" for byte in data)).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [b"Zyxwolf^Canaria", UID[:-1], PID], ids=["name", "UID", "id"])
def test_a_value_is_found_in_every_form(scanner: Scanner, form: str, value: bytes) -> None:
    hidden = FORMS[form](b"it says " + value + b" here")
    assert scanner.content(hidden, "a.json" if form.startswith("JSON") else "") is not None
    assert scanner.content(FORMS[form](b"it says nobody at all here")) is None


NOISE = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(2000)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [b"Zyxwolf^Canaria", UID[:-1], PID], ids=["name", "UID", "id"])
def test_a_value_in_hex_is_found_among_thousands_of_digests(scanner: Scanner, form: str, value: bytes) -> None:
    hidden = FORMS[form](b"it says " + value + b" here").hex()
    alone = scanner.content(json.dumps([hidden]).encode(), "a.json")
    among = scanner.content(json.dumps([*NOISE[:900], hidden, *NOISE[900:]]).encode(), "a.json")
    assert (among is None) == (alone is None)
    assert alone is not None or form == "base64 of gzip"  # beyond the depth that is searched


def test_thousands_of_digests_hide_no_hash_and_no_other_alphabet() -> None:
    gatherer = Gatherer()
    gatherer.add("Lüdenscheidter".encode(), TEXTS)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    assert scanner.content("\n".join(NOISE).encode()) is None
    hidden = [
        hashlib.sha256(PID).hexdigest(),
        "Lüdenscheidter".encode("latin-1").hex(),
        "Lüdenscheidter".encode().hex(),
    ]
    hidden += ["zyxwolf".encode("utf-16-le").hex(), "zyxwolf".encode("utf-16-be").hex()]  # too short among bytes
    hidden += ["Lüdenscheidter".encode("utf-16").hex(), ("\0" * 7).encode().hex() + PID.hex() + "00"]
    for text in hidden:
        assert scanner.content(json.dumps([*NOISE, text]).encode(), "a.json") is not None
        assert scanner.content("\n".join([text, *NOISE]).encode()) is not None


IN_BASE64 = [base64.b64encode(bytes.fromhex(digest)).decode() for digest in NOISE]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [b"Zyxwolf^Canaria", UID[:-1], PID], ids=["name", "UID", "id"])
def test_a_value_in_base64_is_found_among_thousands_of_others(scanner: Scanner, form: str, value: bytes) -> None:
    hidden = base64.b64encode(FORMS[form](b"it says " + value + b" here")).decode()
    alone = scanner.content(json.dumps([hidden]).encode(), "a.json")
    among = scanner.content(json.dumps([*IN_BASE64[:900], hidden, *IN_BASE64[900:]]).encode(), "a.json")
    assert (among is None) == (alone is None)
    assert alone is not None or form == "base64 of gzip"  # beyond the depth that is searched


@given(
    st.sampled_from(["Lüdenscheidter", "Zyxwolf^Canaria", "CANPID7719", "Zoë%20Ünal", "\\xc3\\xbc", "nobody"]),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-16-le"]),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
def test_what_is_found_in_base64_alone_is_found_among_others(
    text: str, encoding: str, before: bytes, after: bytes
) -> None:
    gatherer = Gatherer()
    gatherer.add("Lüdenscheidter Zoë".encode(), TEXTS)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    hidden = base64.b64encode(before + text.encode(encoding) + after).decode()
    among = "\n".join([*IN_BASE64[:20], hidden, *IN_BASE64[20:40]]).encode()
    assert scanner.content(among) is not None or scanner.content(hidden.encode()) is None


@pytest.mark.parametrize("make", [hashlib.md5, hashlib.sha1, hashlib.sha256, blake3])
@pytest.mark.parametrize("value", [NAME[:-1], PID, UID[:-1]], ids=["name", "id", "UID"])
def test_a_plain_hash_is_found(scanner: Scanner, make: Callable[[bytes], hashlib._Hash], value: bytes) -> None:
    digest = make(value)
    for form in (digest.hexdigest(), digest.hexdigest()[:16], base64.b64encode(digest.digest()).decode()):
        assert scanner.content(f'{{"id": "{form}"}}'.encode(), "a.json") == Leak("hash_of_value", 1)
    assert scanner.name(digest.hexdigest()[:16]) == Leak("hash_of_value")


def test_numbers_in_columns_of_numbers_are_no_dates(scanner: Scanner) -> None:
    assert scanner.content(b'{"bytes":19370203,"counts":{"files":19370203,"read_bytes":19370203}}', "a.json") is None
    assert scanner.content(b'{"date":"19370203"}', "a.json") == Leak("value_in_file", 1)
    assert scanner.content(b"array,source_bytes\na,19370203\n", "volumes.csv") is None
    assert scanner.content(b"array,label_x\na,19370203\n", "volumes.csv") == Leak("value_in_file", 2)


def test_a_finding_is_a_code_and_a_line(scanner: Scanner) -> None:
    leak = scanner.content(b"one\ntwo\nZyxwolf\n")
    assert leak == Leak("value_in_file", 3)
    assert leak.code in CODES


def test_own_words_and_short_ones_are_no_leaks() -> None:
    gatherer = Gatherer()
    words = [b"CT", b"Modality", b"Anna", b"pixel data", b"12345", b"dataset", b"AXIAL", b"March"]
    gatherer.add(b"dicom/series 1/image.dcm", [("PN", word) for word in words])
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    for word in words:
        assert scanner.content(b"a sentence with " + word + b" in it") is None


@pytest.mark.parametrize(
    "text", ["Zyxwolf", '{"a": 1}\nZyxwolf', '{"a": "b" Zyxwolf}', '{"a": "Zyxwolf', "{a: Zyxwolf}"]
)
def test_invalid_json_is_searched_as_a_whole(scanner: Scanner, text: str) -> None:
    assert scanner.content(text.encode(), "a.json") is not None
    assert scanner.content(b'{"a": [1e5, 2E-3, true, false, null, -1937020], "b": "c"}', "a.json") is None


NAMED = (
    "{uid}",
    "s0_{uid}.dcm",
    "{uid}-001.dcm",
    "{uid} {other}",
    "Canwolfram_{uid}",
    "{other}_{uid}_Canwolfram_x_y_z",
)


@given(
    uid=st.sampled_from(sorted(UID_dictionary)),
    other=st.sampled_from(sorted(UID_dictionary)),
    form=st.sampled_from(NAMED),
    kind=st.sampled_from(("path", "UI", "LO", "PN", "UT", "")),
    within=st.booleans(),
)
def test_a_standard_uid_identifies_nobody(uid: str, other: str, form: str, kind: str, within: bool) -> None:
    value = form.format(uid=uid, other=other)
    value = f"{value}\\{other}" if within and kind != "path" else value
    gatherer = Gatherer()
    name = value if kind == "path" else "file"
    gatherer.add(name.encode(), [] if kind == "path" else [(kind, value.encode())])
    scanner = Scanner(frozenset(gatherer.take()), frozenset())
    for content in (uid, json.dumps({"transfer_syntax": [uid, other]}), f"{other},{uid}", f"1 {uid} 2", f"s0 {uid}"):
        assert scanner.content(content.encode(), "a.json") is None
        assert scanner.name(content) is None
    for make in (hashlib.md5, hashlib.sha256):
        assert scanner.content(make(uid.encode()).hexdigest().encode()) is None
    if "Canwolfram" in form and kind in ("path", "PN"):
        assert scanner.content(b"a Canwolfram") is not None


@given(uid=st.sampled_from(sorted(UID_dictionary)), more=st.integers(min_value=10**7))
def test_an_unregistered_uid_below_the_root_of_the_standard_is_an_identifier(uid: str, more: int) -> None:
    secret = f"1.2.840.10008.{more}" if uid.startswith("1.2.840.10008.1") else f"{uid}.{more}"
    for kind in ("UI", "path", "LO", ""):
        scanner = Scanner(frozenset(identifiers_of(kind, secret.encode())), own_words(ROOT))
        assert scanner.content(json.dumps({"uid": [secret]}).encode(), "a.json") is not None
        assert scanner.content(f"{uid},{secret}".encode()) is not None


@pytest.mark.parametrize("name", ["Doe^Jane", "Doe^John", "Wolf^Anna", "Mustermann^Max", "Smith^John"])
def test_names_in_examples_are_identifiers(name: str) -> None:
    scanner = Scanner(frozenset(identifiers_of("PN", name.encode())), own_words(ROOT))
    for text in (name, name.replace("^", "_").lower(), " ".join(name.split("^")[::-1])):
        assert scanner.content(f"series of {text} extracted".encode()) is not None


def test_the_id_of_an_array_is_no_date() -> None:
    scanner = Scanner(frozenset(identifiers_of("DA", b"19370203")), own_words(ROOT))
    for text in ("0123456789abcdef/19370203", "images.zarr/0123456789abcdef/19370203/0", "19370203…/abcdef01"):
        assert scanner.content(f"array {text} here".encode()) is None
    for text in ("19370203", "0123456789abcde/19370203", "x/19370203/0"):
        assert scanner.content(f"array {text} here".encode()) == Leak("value_in_file", 1)


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(["7", "1234567"]), min_size=5, max_size=9).map(",".join),
            st.sampled_from(["meier", "haus", "19370203", "1.5", "", "7", "7 meier"]),
        ),
        max_size=8,
    ).map(",".join)
)
def test_a_value_beside_long_rows_of_numbers_is_found(row: str) -> None:
    values = (b"Haus 7 1234567 7", b"7 1234567 7 Meier", b"7 Meier Haus 7")
    scanner = Scanner(frozenset(i for value in values for i in identifiers_of("LO", value)), frozenset())
    assert scanner.content(row.encode()) == scanner.content(row.replace(",", ", ").encode())


@pytest.mark.parametrize("number", ["19370203", "1937020", "19370203.0"])
def test_a_date_within_a_long_row_of_numbers_is_found(scanner: Scanner, number: str) -> None:
    for place in range(20):
        numbers = ["7"] * 20
        numbers[place] = number
        found = scanner.content(f"[{','.join(numbers)}]".encode(), "report.html")
        assert (found is not None) is (number != "1937020")


def test_the_id_of_an_array_is_no_encoded_value(scanner: Scanner) -> None:
    coded = b"Zyxwolf ".hex()
    page = f'["{coded}/01234567"]'.encode()
    assert scanner.content(page, "report.html") is None
    for other in (coded, f"{coded}/0123456", f"20{coded}/01234567"):
        assert scanner.content(f'["{other}"]'.encode(), "report.html") == Leak("value_encoded", 1)


def test_a_picture_is_searched_after_decoding(scanner: Scanner) -> None:
    words = frozenset(hash_of_words([word]) for word in ("abcde", "fghij"))
    picture = "data:image/png;base64,AAAA/abcde/fghij+AAAA="
    assert Scanner(words, frozenset()).content(f"<img src='{picture}'>".encode()) is None
    assert Scanner(words, frozenset()).content(b"<img src='abcde'>") is not None
    hidden = base64.b64encode(b"\x89PNG" + bytes(9) + b"tEXt a name: Zyxwolf^Canaria" + bytes(9)).decode()
    page = f"<img src='data:image/png;base64,{hidden}'>"
    assert scanner.content(page.encode()) == Leak("value_encoded", 1)


def test_additions_of_an_interrupted_run_are_used(tmp_path: Path) -> None:
    first = IdentifierFile(tmp_path / IDENTIFIERS, "code")
    assert not first.load()
    first.add([3, 1])
    second = IdentifierFile(tmp_path / IDENTIFIERS, "code")  # the first was killed before it saved
    assert second.load()
    second.add([2])
    third = IdentifierFile(tmp_path / IDENTIFIERS, "code")
    assert third.load()
    third.save()
    assert read_identifiers(tmp_path / IDENTIFIERS)[0] == {1, 2, 3}
    third.add([4])
    (tmp_path / IDENTIFIERS).unlink()  # the base file of the additions
    assert not IdentifierFile(tmp_path / IDENTIFIERS, "code").load()
    assert not IdentifierFile(tmp_path / IDENTIFIERS, "other code").load()


def test_sizes_are_no_words_and_texts_in_their_columns_are() -> None:
    known = {*identifiers_of("path", b"512x512"), *identifiers_of("PN", b"Zyxwolf")}
    scanner = Scanner(known, frozenset())
    assert scanner.content(b"array,shape\na,512x512\n", "t.csv") is None
    assert scanner.content(b"array,why\na,512x512\n", "t.csv") is not None
    assert scanner.content(b"array,shape\na,Zyxwolf\n", "t.csv") is not None


@pytest.mark.parametrize("root", ["/exports/Zyx_Canaria/ct", "/exports/ct/Zyx_Canaria", "/e/\xe4\xf6/Zyx Canaria/x/"])
def test_the_path_of_a_source_folder_is_found_as_a_whole(root: str) -> None:
    raw = root.encode("latin-1")
    scanner = Scanner(frozenset(identifiers_of_root(raw)), own_words(ROOT))
    for text in (f"cannot read {root}/a.dcm", f"root: {encode_path(raw)}", f'{{"folder":"{root}"}}'):
        assert scanner.content(text.encode()) is not None
    assert scanner.content(f"digest {hashlib.sha256(raw).hexdigest()}\n".encode()) == Leak("hash_of_value", 1)
    assert scanner.content(base64.b64encode(f"from {root}".encode())) == Leak("value_encoded", 1)


@pytest.mark.parametrize(
    "root", ["/data/livers", "/data/results/dicom", "/mnt/lidc", "/home/canaria/source", "/", "dicom"]
)
def test_words_of_a_source_folder_alone_are_no_leak(root: str) -> None:
    scanner = Scanner(frozenset(identifiers_of_root(root.encode())), own_words(ROOT))
    for text in ("title: Livers of LIDC, of canaria", "/data/results/dicom/dataset", "data, results and dicom"):
        assert scanner.content(text.encode()) is None
        assert scanner.name(text) is None
