"""What the configuration says of the dataset, with an honest text where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHER = "other"
NO_TITLE = "Imaging dataset without a title"
NO_AUTHOR = "No author stated"
NO_LICENSE = "no licence stated"
NO_DESCRIPTION = "No description stated."


@dataclass(frozen=True, slots=True)
class Author:
    """An author. A name with a comma is a person, ``Family, Given``; any other an organisation."""

    name: str
    orcid: str = ""
    affiliation: str = ""

    @property
    def is_person(self) -> bool:
        """Whether it is a person."""
        return "," in self.name

    @property
    def family(self) -> str:
        """The family name of a person."""
        return self.name.partition(",")[0].strip()

    @property
    def given(self) -> str:
        """The given names of a person, empty if there are none."""
        return self.name.partition(",")[2].strip()

    @property
    def plain_name(self) -> str:
        """The name as it is spoken."""
        return f"{self.given} {self.family}".strip() if self.is_person else self.name

    @property
    def orcid_url(self) -> str:
        """The address of the ORCID, empty without one."""
        return f"https://orcid.org/{self.orcid}" if self.orcid else ""


@dataclass(frozen=True, slots=True)
class Card:
    """The config key `card`; a text is empty where nothing is configured.

    Attributes
    ----------
    license : str
        An SPDX identifier, or `OTHER`.
    date_released : str
        ISO 8601.
    """

    title: str = ""
    description: str = ""
    license: str = ""
    license_url: str = ""
    authors: tuple[Author, ...] = ()
    version: str = ""
    url: str = ""
    doi: str = ""
    keywords: tuple[str, ...] = ()
    date_released: str = ""
    task_categories: tuple[str, ...] = ()

    @property
    def shown_title(self) -> str:
        """The title, or that there is none."""
        return self.title or NO_TITLE

    @property
    def doi_url(self) -> str:
        """The address of the DOI, empty without one."""
        return f"https://doi.org/{self.doi}" if self.doi else ""

    @property
    def license_page(self) -> str:
        """The address of the licence's text, empty if it is not known."""
        spdx = f"https://spdx.org/licenses/{self.license}.html" if self.license not in ("", OTHER) else ""
        return self.license_url or spdx

    @property
    def license_text(self) -> str:
        """The licence in words."""
        return {"": NO_LICENSE, OTHER: "a licence of its own"}.get(self.license, self.license)

    @property
    def citation(self) -> str:
        """The reference as one line: authors, year, title, version, address."""
        names = "; ".join(author.name for author in self.authors) or NO_AUTHOR
        year = f" ({self.date_released[:4]})" if self.date_released else ""
        version = f" (version {self.version})" if self.version else ""
        address = self.doi_url or self.url
        return f"{names}{year}. {self.shown_title}{version} [data set]." + (f" {address}" if address else "")


def card_of(config: Mapping[str, Any]) -> Card:
    """Return the card of the config key `card`, which has been checked."""
    words: dict[str, Any] = {key: value.strip() for key, value in config.items() if isinstance(value, str)}
    words |= {key: tuple(config.get(key, ())) for key in ("keywords", "task_categories")}
    authors = [{key: value.strip() for key, value in author.items()} for author in config.get("authors", ())]
    return Card(**words, authors=tuple(Author(**author) for author in authors))
