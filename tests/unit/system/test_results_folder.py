"""Paths as text: they round-trip, stay readable and are safe in a spreadsheet."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.system.path_text import decode_path, decode_text, encode_path, encode_text


@given(st.binary(min_size=1, max_size=60).filter(lambda raw: b"\0" not in raw))
def test_any_name_round_trips(raw: bytes) -> None:
    text = encode_path(raw)
    assert decode_path(text) == raw == unquote_to_bytes(text)
    assert not re.search(r"[\x00-\x1f\x7f]|(^|[;\"])[=+\-@\uff1d\uff0b\uff0d\uff20]", text)
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Müller/série 1/IM,1".encode(), "Müller/série 1/IM,1"),
        (b"100%/a", "100%25/a"),
        (b"-rf", "%2Drf"),
        (b"a-b=c", "a-b=c"),
        (b"=cmd", "%3Dcmd"),
        (
            b"a;=cmd;b=c",
            "a;%3Dcmd;b=c",
        ),  # a spreadsheet where the comma is the decimal mark ends a cell at the semicolon
        (b'a;"=cmd', 'a;"%3Dcmd'),
        ("\uff1dcmd".encode(), "%EF%BC%9Dcmd"),
        (b"line\nfeed\t", "line%0Afeed%09"),
        (b"\xff\xfe", "%FF%FE"),
        ("\x85x".encode(), "%C2%85x"),
    ],
)
def test_only_what_must_be_is_encoded(raw: bytes, text: str) -> None:
    assert encode_path(raw) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_free_text_round_trips(text: str) -> None:
    assert decode_text(encode_text(text)) == text
