"""The config key `dicomweb`: an address without a password, which no message repeats."""

from __future__ import annotations

from typing import Any

import pytest

from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings

SECRET = "zyxwolf"
GOOD = {"url": "https://pacs.example.org:8443/dicom-web/", "studies": "wanted.csv", "label": "pacs"}


def check(dicomweb: Any) -> None:
    settings.check_keys(settings.with_defaults({"dicomweb": dicomweb}))


def test_good_keys_pass() -> None:
    for each in ({}, GOOD, {"url": "http://[::1]:8042/dicom-web"}):
        check(each)


@pytest.mark.parametrize(
    ("dicomweb", "says"),
    [
        ({"url": f"https://{SECRET}:pw@pacs.example.org/dicom-web"}, "set the environment variables DICOMWEB_USER"),
        ({"url": f"https://{SECRET}@pacs.example.org"}, "it holds a user or password"),
        ({"url": f"https://pacs.example.org/?token={SECRET}"}, "after ? or #"),
        ({"url": f"ftp://{SECRET}/"}, "needed is the address"),
        ({"url": SECRET}, "needed is the address"),
        ({"url": f"https://{SECRET}:port/"}, "needed is the address"),
        ({"url": f"https://{SECRET}/a b"}, "needed is the address"),
        ({"url": [SECRET]}, "needed is the address"),
        ({"studies": {SECRET: 1}}, "'dicomweb.studies': needed is a text"),
        ({SECRET: "x"}, "known keys: url, studies, label"),
        (f"https://{SECRET}:pw@pacs.example.org", "needed is a mapping with url and studies"),
        (None, "needed is a mapping"),
    ],
)
def test_a_wrong_key_is_explained_without_its_value(dicomweb: Any, says: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        check(dicomweb)
    assert says in str(caught.value) and SECRET not in str(caught.value)
