"""Names are found in every character set and script, and in every sequence of a header."""

from __future__ import annotations

import os
import re
import unicodedata
import urllib.parse
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, file, image
from made_up_headers import text as element

from dicomzarr.headers.classify import read_header
from dicomzarr.privacy.identifiers import (
    _MAX_LENGTH_SEEN,
    CHARSET,
    Gatherer,
    identifiers_of,
    words_of,
)
from dicomzarr.privacy.plain_words import own_words
from dicomzarr.privacy.scanner import MIN_WEIGHT, Leak, Scanner


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
