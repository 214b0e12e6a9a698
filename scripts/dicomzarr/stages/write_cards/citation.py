"""`CITATION.cff`: how to cite the dataset, in the Citation File Format 1.2.0."""

from __future__ import annotations

from typing import Any

from dicomzarr.stages.write_cards.card import NO_AUTHOR, Author, Card
from dicomzarr.stages.write_cards.licenses import is_in_citation_format
from dicomzarr.stages.write_cards.texts import yaml_of


def citation_file(card: Card) -> str:
    """Return the content of `CITATION.cff`. Title and authors are required there; it says so where there are none."""
    is_listed = is_in_citation_format(card.license)
    entries: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it as below.",
        "type": "dataset",
        "title": card.shown_title,
        "authors": [_author(author) for author in card.authors] or [{"name": NO_AUTHOR}],
        "abstract": card.description,
        "version": card.version,
        "date-released": card.date_released,
        "doi": card.doi,
        "url": card.url,
        "license": card.license if is_listed else "",
        "license-url": card.license_url if is_listed else card.license_page,
        "keywords": list(card.keywords),
    }
    return yaml_of({key: value for key, value in entries.items() if value})


def _author(author: Author) -> dict[str, str]:
    person = {"family-names": author.family, "given-names": author.given, "affiliation": author.affiliation}
    names = person if author.is_person else {"name": author.name}
    return {key: value for key, value in {**names, "orcid": author.orcid_url}.items() if value}
