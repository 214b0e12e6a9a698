"""The search for leaks: what it finds, in which form, and what it must not take for a leak."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import os
import unicodedata
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import zarr
from blake3 import blake3
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, file, image
from made_up_headers import text as element
from pydicom.uid import UID_dictionary

from dicomzarr.headers.classify import read_header
from dicomzarr.privacy.identifiers import (
    CHARSET,
    NEEDLES,
    Gatherer,
    Needles,
    needle,
    needles_of,
    read_needles,
    words_of,
)
from dicomzarr.privacy.plain_words import own_words
from dicomzarr.privacy.scanner import CODES, LEAST, Leak, Scanner
from dicomzarr.stages import check_privacy
from dicomzarr.system import json_files
from dicomzarr.system.path_text import encode_path
from dicomzarr.system.results_folder import Results

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
    assert alone is not None or form == "base64 of gzip"  # beyond the depth that is looked at


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
    for one in hidden:
        assert scanner.content(json.dumps([*NOISE, one]).encode(), "a.json") is not None
        assert scanner.content("\n".join([one, *NOISE]).encode()) is not None


@pytest.mark.parametrize("make", [hashlib.md5, hashlib.sha1, hashlib.sha256, blake3])
@pytest.mark.parametrize("value", [NAME[:-1], PID, UID[:-1]], ids=["name", "id", "UID"])
def test_a_plain_hash_is_found(scanner: Scanner, make: Callable[[bytes], hashlib._Hash], value: bytes) -> None:
    digest = make(value)
    for form in (digest.hexdigest(), digest.hexdigest()[:16], base64.b64encode(digest.digest()).decode()):
        assert scanner.content(f'{{"id": "{form}"}}'.encode(), "a.json") == Leak("hash_of_value", 1)
    assert scanner.name(digest.hexdigest()[:16]) == Leak("hash_of_value")


def test_numbers_are_no_dates_where_a_number_belongs(scanner: Scanner) -> None:
    assert scanner.content(b'{"bytes":19370203,"all":[1,19370203]}', "a.json") is None
    assert scanner.content(b'{"date":"19370203"}', "a.json") == Leak("value_in_file", 1)
    assert scanner.content(b"array,source_bytes\na,19370203\n", "volumes.csv") is None
    assert scanner.content(b"array,label_x\na,19370203\n", "volumes.csv") == Leak("value_in_file", 2)


def test_what_is_said_is_a_code_and_a_line(scanner: Scanner) -> None:
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
def test_what_is_called_json_and_is_none_is_searched_whole(scanner: Scanner, text: str) -> None:
    assert scanner.content(text.encode(), "a.json") is not None
    assert scanner.content(b'{"a": [1e5, 2E-3, true, false, null, -19370203], "b": "c"}', "a.json") is None


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
def test_a_standard_uid_is_nobodys_wherever_it_stands(uid: str, other: str, form: str, kind: str, within: bool) -> None:
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
def test_a_uid_below_the_root_of_the_standard_that_is_none_of_its_own_is_a_secret(uid: str, more: int) -> None:
    secret = f"1.2.840.10008.{more}" if uid.startswith("1.2.840.10008.1") else f"{uid}.{more}"
    for kind in ("UI", "path", "LO", ""):
        scanner = Scanner(frozenset(needles_of(kind, secret.encode())), own_words(ROOT))
        assert scanner.content(json.dumps({"uid": [secret]}).encode(), "a.json") is not None
        assert scanner.content(f"{uid},{secret}".encode()) is not None


def test_names_in_other_character_sets() -> None:
    needles = frozenset(
        [*needles_of("PN", "Müller^Jürgen".encode("latin-1")), *needles_of("PN", "Łukasz^Żak".encode())]
    )
    scanner = Scanner(needles, frozenset())
    for text in ("müller jürgen", "MÜLLER", "Łukasz"):
        assert scanner.content(text.encode()) == Leak("value_in_file", 1)
    assert words_of("Łukasz^Żak_1.2.3") == ["łukasz", "żak", "1.2.3"]
    assert len("Łukasz") >= LEAST


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
def test_names_are_read_as_their_file_says(charset: str, encoding: str, name: str) -> None:
    raw = name.encode(encoding) if encoding else b"^".join(b"\x1b$)C" + w.encode("euc_kr") for w in name.split("^"))
    gatherer = Gatherer()
    gatherer.add(b"1.dcm", [(CHARSET, charset.encode()), ("PN", raw)])
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    assert scanner.content(f"a name: {name}".encode()) is not None
    assert scanner.content(f"a name: {name.partition('^')[0]} and so on".encode()) is not None
    assert scanner.content("a name: Никто^무명 他人".encode()) is None


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
def test_names_within_sequences_are_gathered(tmp_path: Path, syntax: str, undefined: bool) -> None:
    texts = (element(0x00100010, "PN", "Zyxwolf^Canaria"), element(0x0020000D, "UI", "1.2.826.0.1.3680043.777.5"))
    deep = Element(0x00400275, "SQ", ((element(0x00400007, "LO", "Ponyhof fall"),),), undefined=undefined)
    outer = Element(0x04000561, "SQ", ((*texts, deep), (element(0x00100020, "LO", "CANPID7719"),)), undefined=undefined)
    path = tmp_path / "a.dcm"
    path.write_bytes(file(image(syntax, Original=outer), syntax))
    found: list[tuple[str, bytes]] = []
    handle = os.open(path, os.O_RDONLY)
    assert read_header(handle, path.stat().st_size, found).outcome == "image"
    os.close(handle)
    gatherer = Gatherer()
    gatherer.add(b"a.dcm", found)
    scanner = Scanner(frozenset(gatherer.take()), own_words(ROOT))
    for said in ("ZYXWOLF CANARIA", "1.2.826.0.1.3680043.777.5", "ponyhof fall", "canpid7719"):
        assert scanner.content(f"it says {said} here".encode()) == Leak("value_in_file", 1), said
    for size in range(len(found[-1][1])):  # however they are cut
        for _, value in found:
            list(needles_of("SQ", value[:size]))


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
def test_names_of_examples_are_names(name: str) -> None:
    scanner = Scanner(frozenset(needles_of("PN", name.encode())), own_words(ROOT))
    for text in (name, name.replace("^", "_").lower(), " ".join(name.split("^")[::-1])):
        assert scanner.content(f"series of {text} extracted".encode()) is not None


def test_the_id_of_an_array_is_no_date() -> None:
    scanner = Scanner(frozenset(needles_of("DA", b"19370203")), own_words(ROOT))
    for text in ("0123456789abcdef/19370203", "images.zarr/0123456789abcdef/19370203/0", "19370203…/abcdef01"):
        assert scanner.content(f"array {text} here".encode()) is None
    for text in ("19370203", "0123456789abcde/19370203", "x/19370203/0"):
        assert scanner.content(f"array {text} here".encode()) == Leak("value_in_file", 1)


def test_words_of_snakemake_are_no_leaks_where_it_writes(results: Results) -> None:
    gatherer = Gatherer()
    gatherer.add(b"Additional/Using/Building", [])
    needles = Needles(results.private / "cache" / NEEDLES, "code")
    needles.load()
    needles.add(gatherer.take())
    needles.save()
    log = results.root.parent / ".snakemake" / "log"
    log.mkdir(parents=True)
    (log / "a.log").write_text("Building DAG of jobs... Using the additional storage")
    assert search(results) == 2
    (log / "a.log").write_text("Building DAG of jobs for Zyxwolf")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in .snakemake/log/a.log"):
        search(results)


def test_a_picture_is_searched_once_decoded(scanner: Scanner) -> None:
    words = frozenset(needle([word]) for word in ("abcde", "fghij"))
    picture = "data:image/png;base64,AAAA/abcde/fghij+AAAA="
    assert Scanner(words, frozenset()).content(f"<img src='{picture}'>".encode()) is None
    assert Scanner(words, frozenset()).content(b"<img src='abcde'>") is not None
    hidden = base64.b64encode(b"\x89PNG" + bytes(9) + b"tEXt a name: Zyxwolf^Canaria" + bytes(9)).decode()
    page = f"<img src='data:image/png;base64,{hidden}'>"
    assert scanner.content(page.encode()) == Leak("value_encoded", 1)


def test_additions_of_an_interrupted_run_are_taken_over(tmp_path: Path) -> None:
    first = Needles(tmp_path / NEEDLES, "code")
    assert not first.load()
    first.add([3, 1])
    second = Needles(tmp_path / NEEDLES, "code")  # the first was killed before it saved
    assert second.load()
    second.add([2])
    third = Needles(tmp_path / NEEDLES, "code")
    assert third.load()
    third.save()
    assert read_needles(tmp_path / NEEDLES)[0] == {1, 2, 3}
    third.add([4])
    (tmp_path / NEEDLES).unlink()  # what the additions were added to is gone
    assert not Needles(tmp_path / NEEDLES, "code").load()
    assert not Needles(tmp_path / NEEDLES, "other code").load()


# ---- over a folder


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    (folders.private / "cache").mkdir(parents=True)
    needles = Needles(folders.private / "cache" / NEEDLES, "code")
    needles.add([one for item in TEXTS for one in needles_of(*item)])
    needles.save()
    folders.dataset.mkdir()
    (folders.private / "names.csv").write_text("Zyxwolf^Canaria")
    (folders.dataset / "volumes.csv").write_text("array\nabc\n")
    return folders


def search(results: Results, level: str = "standard") -> int:
    return check_privacy.check_privacy(results, results.root.parent, level, "code")


def test_only_what_is_new_or_changed_is_searched(results: Results) -> None:
    assert search(results) == 1
    assert search(results) == 0
    (results.root / "logs").mkdir()
    (results.root / "logs/a.log").write_text("nothing")
    assert search(results) == 1
    assert check_privacy.check_privacy(results, results.root.parent, "standard", "other code") == 2


def test_a_volume_is_searched_anew_where_anything_in_it_changed(results: Results) -> None:
    folder = results.images / "0123456789abcdef" / "01234567"
    array = zarr.create_array(str(folder / "0"), shape=(2, 8, 8), dtype="u1")
    array[:] = 7
    assert (search(results), search(results)) == (3, 0)
    for change in (
        lambda: (folder / "0" / "zarr.json").write_text('{"a": "b"}'),
        lambda: (folder / "note").write_text("nothing"),
        (folder / "0" / "c" / "0" / "deep").mkdir,
        lambda: (folder / "note").rename(folder / "0" / "note"),
        (folder / "0" / "note").unlink,
    ):
        change()
        assert search(results) > 0
        assert search(results) == 0
    (folder / "0" / "c" / "0" / "deep" / "Zyxwolf").mkdir()
    for _ in range(2):
        with pytest.raises(
            check_privacy.PrivacyProblem, match="value_in_name in results/dataset/images.zarr/.*/c/0/deep/"
        ):
            search(results)
    (folder / "0" / "c" / "0" / "deep" / "Zyxwolf").rmdir()
    (folder / "0" / "zarr.json").write_text('{"a": "Zyxwolf"}')
    for _ in range(2):
        with pytest.raises(
            check_privacy.PrivacyProblem, match="value_in_file in results/dataset/images.zarr/.*/0/zarr.json"
        ):
            search(results)


def test_a_finding_tells_the_place_and_stays_found(results: Results) -> None:
    (results.dataset / "volumes.csv").write_text("array\nabc\nZyxwolf\n")
    for _ in range(2):
        with pytest.raises(check_privacy.PrivacyProblem) as caught:
            search(results)
        assert "value_in_file in results/dataset/volumes.csv, line 3" in str(caught.value)
        assert "zyxwolf" not in str(caught.value).lower()
    (results.dataset / "volumes.csv").write_text("array\nabc\n")
    assert search(results) == 1


def test_the_name_of_a_file_is_not_told(results: Results) -> None:
    (results.dataset / "report Zyxwolf.txt").write_text("nothing")
    with pytest.raises(
        check_privacy.PrivacyProblem, match=r"value_in_name in results/dataset/ \(entry 1 by name\)"
    ) as caught:
        search(results)
    assert "zyxwolf" not in str(caught.value).lower()


def test_what_the_configuration_says_is_no_leak(results: Results) -> None:
    (results.dataset / "volumes.csv").write_text("array,label_place\nabc,ponyhof\n")
    needles = Needles(results.private / "cache" / NEEDLES, "code")
    needles.load()
    needles.add(list(needles_of("path", b"Ponyhof")))
    needles.save()
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/volumes.csv, line 2"):
        search(results)
    assert check_privacy.check_privacy(results, results.root.parent, "standard", "code", ["ponyhof"]) == 1
    check_privacy.search_afterwards(results, results.root.parent)
    with pytest.raises(check_privacy.PrivacyProblem):
        search(results)


def test_what_lies_among_the_arrays_and_is_none_is_searched(results: Results) -> None:
    series = results.images / "0123456789abcdef"
    (series / "19370203" / "0" / "c" / "0").mkdir(parents=True)
    (series / "19370203" / "0" / "c" / "0" / "0").write_bytes(b"Zyxwolf")  # the payload of an array, named by its id
    assert search(results) == 2
    for place in (results.images / "note", series / "c", series / "19370203/0/c/note", series / "19370203/0/note"):
        place.write_text("Zyxwolf")
        with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in results/dataset/images.zarr/"):
            search(results)
        place.unlink()
    (series / "19370203").rename(series / "18370203")
    assert search(results) == 1
    (results.images / "19370203").mkdir()
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name in results/dataset/images.zarr/"):
        search(results)


def test_where_things_lie_may_stand_with_snakemake_alone(results: Results) -> None:
    root = b"/data/Zyxwolf/archive"
    results.inventory.write_bytes(json_files.canonical_json({"roots": {"": encode_path(root)}}))
    log = results.root.parent / ".snakemake" / "log"
    log.mkdir(parents=True)
    (log / "a.log").write_text(f"config: {root.decode()}")
    assert search(results) == 2
    (results.dataset / "a.log").write_text(f"config: {root.decode()}")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in results/dataset/a.log"):
        search(results)


def test_what_is_gathered_in_another_way_is_looked_for_in_all(results: Results) -> None:
    assert (search(results), search(results)) == (1, 0)
    needles = Needles(results.private / "cache" / NEEDLES, "other code")
    needles.add([1])
    needles.save()
    assert search(results) == 1


def test_a_run_that_never_came_to_its_search_is_searched_afterwards(results: Results) -> None:
    (results.root / "logs").mkdir()
    (results.root / "logs/index_headers.log").write_text("Zyxwolf")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/logs/index_headers.log"):
        check_privacy.search_afterwards(results, results.root.parent)
    (results.private / "cache" / NEEDLES).unlink()
    check_privacy.search_afterwards(results, results.root.parent)  # nothing was read: nothing to look for


def test_what_snakemake_keeps_is_searched(results: Results) -> None:
    metadata = results.root.parent / ".snakemake" / "metadata"
    metadata.mkdir(parents=True)
    (metadata / base64.b64encode(b"results/Zyxwolf.csv").decode()).write_text("{}")
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_name in .snakemake/metadata/"):
        search(results)


def test_voxels_are_searched_where_all_is_asked_for(results: Results) -> None:
    folder = results.images / "0123456789abcdef" / "01234567"
    array = zarr.create_array(str(folder / "0"), shape=(4, 64, 64), shards=(4, 64, 64), chunks=(1, 64, 64), dtype="u1")
    voxels = np.random.default_rng(1).integers(0, 256, (4, 64, 64), dtype="u1")
    array[:] = voxels
    assert search(results, "full") > 0
    text = np.frombuffer(UID[:-1], "u1")
    voxels[3, 7, : len(text)] = text
    array[:] = voxels
    search(results)
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/dataset/images.zarr/.*/c/"):
        search(results, "full")


@pytest.mark.parametrize("blind", ["_encoded", "_bytes", "_text"])
def test_a_search_that_cannot_find_says_so(results: Results, monkeypatch: pytest.MonkeyPatch, blind: str) -> None:
    monkeypatch.setattr(Scanner, blind, lambda *_: None)
    with pytest.raises(check_privacy.PrivacyProblem, match="does not find a planted value"):
        search(results)


def test_without_anything_to_look_for_there_is_no_search(results: Results) -> None:
    (results.private / "cache" / NEEDLES).unlink()
    with pytest.raises(check_privacy.PrivacyProblem, match="header texts to search for are missing"):
        search(results)
