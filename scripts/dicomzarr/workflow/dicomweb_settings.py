"""Check the config key `dicomweb`. No message holds its address, which may carry a password or name a hospital."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dicomzarr.vocabulary.errors import ConfigProblem

_KEYS = ("url", "studies", "label")
NEEDED = "needed is the address of the server's DICOMweb service, such as https://pacs.example.org/dicom-web"


def check_dicomweb(dicomweb: Any) -> None:
    """Check the key before the schema does, whose messages quote what they find.

    Raises
    ------
    ConfigProblem
        If it is no mapping, a key in it is unknown, or a value is no address or no file.
    """
    if not isinstance(dicomweb, dict):
        raise ConfigProblem("config key 'dicomweb': needed is a mapping with url and studies; see config.yaml")
    for key in dicomweb:
        if key not in _KEYS:
            raise ConfigProblem(f"config key 'dicomweb' has a key that is not known; known keys: {', '.join(_KEYS)}")
    for key, value in dicomweb.items():
        if not isinstance(value, str) or not value:
            needed = NEEDED if key == "url" else "needed is a text"
            raise ConfigProblem(f"config key 'dicomweb.{key}': {needed}")
    if "url" in dicomweb:
        _check_url(dicomweb["url"])


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError:
        has_host = False
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(" \\\"'<>")
    if not has_host or not is_plain or parts.scheme not in ("http", "https"):
        raise ConfigProblem(f"config key 'dicomweb.url': {NEEDED}")
    if "@" in parts.netloc:
        raise ConfigProblem(
            "config key 'dicomweb.url': it holds a user or password; write it without, and set the environment "
            "variables DICOMWEB_USER and DICOMWEB_PASSWORD, or DICOMWEB_TOKEN"
        )
    if parts.query or parts.fragment:
        raise ConfigProblem(f"config key 'dicomweb.url': it has a part after ? or #; {NEEDED}")
