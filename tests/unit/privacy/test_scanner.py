"""The privacy search: which values it finds, in which encodings, and what is no leak."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import os
import re
import unicodedata
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import pytest
from blake3 import blake3
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, file, image
from made_up_headers import text as element
from pydicom.uid import UID_dictionary

from dicomzarr.headers.classify import read_header
from dicomzarr.privacy.identifiers import (
    _MAX_LENGTH_SEEN,
    CHARSET,
    IDENTIFIERS,
    Gatherer,
    IdentifierFile,
    hash_of_words,
    identifiers_of,
    identifiers_of_root,
    read_identifiers,
    words_of,
)
from dicomzarr.privacy.plain_words import own_words
from dicomzarr.privacy.scanner import CODES, MIN_WEIGHT, Leak, Scanner
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


def test_names_in_other_character_sets() -> None:
    identifiers = frozenset(
        [*identifiers_of("PN", "Müller^Jürgen".encode("latin-1")), *identifiers_of("PN", "Łukasz^Żak".encode())]
    )
    scanner = Scanner(identifiers, frozenset())
    for text in ("müller jürgen", "MÜLLER", "Łukasz"):
        assert scanner.content(text.encode()) == Leak("value_in_file", 1)
    assert words_of("Łukasz^Żak_1.2.3") == ["łukasz", "żak", "1.2.3"]
    assert len("Łukasz") >= MIN_WEIGHT


@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "iso2022_jp", "山田^太郎"),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг^Мария"),
        ("ISO_IR 126", "iso8859_7", "Διονυσιος"),
        ("GB18030", "gb18030", "王小东^甲乙"),
        ("GBK", "gbk", "王小东^甲乙"),
        ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("\\ISO 2022 IR 149", "", "김희중^길동"),
    ],
)
def test_names_are_decoded_in_the_character_set_of_their_file(charset: str, encoding: str, name: str) -> None:
    raw = name.encode(encoding) if encoding else b"^".join(b"\x1b$)C" + w.encode("euc_kr") for w in name.split("^"))
    gatherer = Gatherer()
    gatherer.add(b"1.dcm", [(CHARSET, charset.encode()), ("PN", raw)])
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    assert scanner.content(f"a name: {name}".encode()) is not None
    assert scanner.content(f"a name: {name.partition('^')[0]} and so on".encode()) is not None
    assert scanner.content("a name: Никто^무명 他人".encode()) is None


@given(
    st.text(
        st.sampled_from("a1.2_ ^\u0301\u0308\u093f\u0915\u0e34\u0e01\u094d王é\u302a\U00011133\U00011107"), max_size=9
    )
)
def test_words_with_marks_are_those_of_the_definition(text: str) -> None:
    """A word begins with a letter or a digit and goes on over letters, digits and marks; dots part other numbers."""
    text = unicodedata.normalize("NFKC", text).casefold()
    marks = "".join(letter for letter in set(text) if unicodedata.category(letter) in ("Mn", "Mc"))
    assert words_of(text) == re.findall(rf"\d+(?:\.\d+)+|[^\W_](?:[^\W_]|[{marks or 'a'}])*", text)


@pytest.mark.parametrize("name", ["राजकुमारी^श्रीवास्तव", "สุริยะ^ศิริพร", "ศิริพร^เกียรติศักดิ์", "ਗੁਰਪ੍ਰੀਤ^ਸਿੰਘਾਣੀਆ"])
def test_marks_do_not_part_words(name: str) -> None:
    family, given = name.split("^")
    scanner = Scanner(frozenset(identifiers_of("PN", name.encode())), frozenset())
    assert words_of(name) == [unicodedata.normalize("NFKC", word) for word in (family, given)]
    for text in (name, f"{given}_{family}", f"({family})", f"1.2.3,{given}7,{given}"):
        assert scanner.content(text.encode()) == Leak("value_in_file", 1)
    assert scanner.content(f"{given[0]} {family[0]}".encode()) is None


def test_marks_that_compose_or_select_a_variant_make_no_difference() -> None:
    assert words_of("Jo\u0308rg_\u0e31x 1.2.3 W\u0338olf") == ["jörg", "x", "1.2.3", "w\u0338olf"]
    assert words_of("葛\U000e0100城 Wolf\ufe0f \u26a0\ufe0f") == ["葛城", "wolf"]
    assert words_of("Müller…2") == words_of("Mu\u0308ller 2") == ["müller", "2"]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("GB18030", "gb18030", "欧阳^小东"),
        ("ISO_IR 166", "tis-620", "สมชาย^วงศาโรจน์"),
        ("ISO_IR 144", "iso8859-5", "Иванова^Мария"),
        ("ISO_IR 127", "iso8859-6", "قباني^لنزار"),
    ],
)
def test_equal_bytes_are_decoded_in_each_character_set(charset: str, encoding: str, name: str, is_first: bool) -> None:
    raw = ("PN", name.encode(encoding))
    texts = [[raw], [(CHARSET, charset.encode()), raw]]
    gatherer = Gatherer()
    for number, of_file in enumerate(texts[::-1] if is_first else texts):
        gatherer.add(b"%d.dcm" % number, of_file)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    assert scanner.content(f"by {name.replace('^', ' ')} himself".encode()) == Leak("value_in_file", 1)
    known = len(gatherer._seen)
    gatherer.add(b"0.dcm", texts[1])
    assert len(gatherer._seen) == known and not gatherer.take()


def test_texts_of_a_sequence_are_decoded_in_the_character_set_of_their_item() -> None:
    name = "Иванова^Мария".encode("iso8859-5")
    charset = b"\x08\0\x05\0CS\x0a\0ISO_IR 144"
    element = b"\x10\0\x10\0PN" + len(name).to_bytes(2, "little") + name
    item = b"\xfe\xff\0\xe0" + (len(charset) + len(element)).to_bytes(4, "little") + charset + element
    scanner = Scanner(frozenset(identifiers_of("SQ", item)), frozenset())
    assert scanner.content("Мария".encode()) == Leak("value_in_file", 1)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
def test_names_within_sequences_are_gathered(tmp_path: Path, syntax: str, undefined: bool) -> None:
    texts = (element(0x00100010, "PN", "Zyxwolf^Canaria"), element(0x0020000D, "UI", "1.2.826.0.1.3680043.777.5"))
    deep = Element(0x00400275, "SQ", ((element(0x00400007, "LO", "Ponyhof fall"),),), undefined=undefined)
    outer = Element(0x04000561, "SQ", ((*texts, deep), (element(0x00100020, "LO", "CANPID7719"),)), undefined=undefined)
    path = tmp_path / "a.dcm"
    path.write_bytes(file(image(syntax, Original=outer), syntax))
    texts_read: list[tuple[str, bytes]] = []
    handle = os.open(path, os.O_RDONLY)
    assert read_header(partial(os.pread, handle), path.stat().st_size, texts_read).outcome == "image"
    os.close(handle)
    gatherer = Gatherer()
    gatherer.add(b"a.dcm", texts_read)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    for value in ("ZYXWOLF CANARIA", "1.2.826.0.1.3680043.777.5", "ponyhof fall", "canpid7719"):
        assert scanner.content(f"it says {value} here".encode()) == Leak("value_in_file", 1), value
    for size in range(len(texts_read[-1][1])):  # however they are cut
        for _, value in texts_read:
            list(identifiers_of("SQ", value[:size]))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize(
    "sequence, label", [(0x00620002, 0x00620005), (0x30060020, 0x30060026), (0x30060080, 0x30060085)]
)
def test_labels_of_masks_are_gathered_of_hundreds_of_segments(syntax: str, sequence: int, label: int) -> None:
    code = Element(
        0x0062000F, "SQ", ((element(0x00080100, "SH", "272673000"), element(0x00080104, "LO", "Quokka bone")),)
    )
    items = tuple((element(label, "LO", f"GTV Zyxwolf{number}"), code) for number in range(400))
    content = file(image(syntax, Labels=Element(sequence, "SQ", items)), syntax)
    texts_read: list[tuple[str, bytes]] = []
    read_header(lambda size, offset: content[offset : offset + size], len(content), texts_read)
    gatherer = Gatherer()
    gatherer.add(b"a.dcm", texts_read)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    for number in (0, 399):
        assert scanner.content(f"mask gtv_zyxwolf{number}".encode()) == Leak("value_in_file", 1)
    for public in ("gtv_zyxwolf400", "SCT:272673000", "quokka bone"):
        assert scanner.content(f'{{"mask": "{public}"}}'.encode(), "a.json") is None, public
    assert all(len(value) <= _MAX_LENGTH_SEEN for _, value, *_ in gatherer._seen)  # memory has a bound


def test_a_letter_is_the_same_however_it_is_composed() -> None:
    gatherer = Gatherer()
    gatherer.add(unicodedata.normalize("NFD", "Ärzteblätter").encode(), [("PN", "Großmüller^Ida".encode())])
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    for text in ("Ärzteblätter", "GROSSMÜLLER", "ｇｒｏßｍüｌｌｅｒ"):
        for form in ("NFC", "NFD"):
            assert scanner.content(unicodedata.normalize(form, text).encode()) == Leak("value_in_file", 1)
        assert scanner.content(urllib.parse.quote(text).encode()) == Leak("value_encoded", 1)
        assert scanner.content(repr(text.encode()).encode()) == Leak("value_encoded", 1)


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
