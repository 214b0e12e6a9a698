"""Licences as the Hugging Face Hub and the Citation File Format name them, by their SPDX identifier."""

from __future__ import annotations

# Identifiers of the Hub that are SPDX identifiers in lower case (its page of licences).
_SAME_NAME = """
    afl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
    cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
    cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 isc lppl-1.3c mit mpl-2.0 ms-pl ncsa ofl-1.1 osl-3.0
    postgresql unlicense wtfpl zlib
"""
_HUB = {name: name for name in _SAME_NAME.split()} | {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
_NEWER_THAN_CITATION_FORMAT = {"cdla-permissive-2.0"}


def hub_license(spdx: str) -> str:
    """Return the identifier of a licence on the Hub, empty if the Hub does not list it."""
    return _HUB.get(spdx.lower(), "")


def is_in_citation_format(spdx: str) -> bool:
    """Return whether Citation File Format 1.2.0, which lists the licences of 2021, surely has a licence."""
    return spdx.lower() in _HUB.keys() - _NEWER_THAN_CITATION_FORMAT
