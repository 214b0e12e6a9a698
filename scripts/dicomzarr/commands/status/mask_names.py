"""Propose lines of the configuration for masks without a name, to whoever may read `private/mask_names.csv`."""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.masks import coded_concepts
from dicomzarr.masks.names import CODE, SEARCHED
from dicomzarr.system.path_text import decode_text

MOST = 20  # labels that are proposed
_SIDES = {"l": "left", "lt": "left", "left": "left", "r": "right", "rt": "right", "right": "right"}
_SPECIAL = re.compile(r"[.^$*+?{}\[\]\\|()]")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One label of masks without a name.

    Attributes
    ----------
    text : str
        The label; without one, the description or a code. It may identify a person.
    pattern : str
        What masks.names would need so that these masks, and none with another label, get the name.
    name : str
        A name of the vocabulary that is like the label; empty if there is none.
    masks : int
        Masks with this label.
    """

    text: str
    pattern: str
    name: str
    masks: int


@dataclass(frozen=True, slots=True)
class Unnamed:
    """The masks without a name: how many, of how many labels, and proposals for the most frequent of them."""

    masks: int
    labels: int
    proposals: tuple[Proposal, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the form of `./run status --json`."""
        proposals = [{"label": p.text, "name": p.name, "pattern": p.pattern, "masks": p.masks} for p in self.proposals]
        return {"masks": self.masks, "labels": self.labels, "proposals": proposals}


NO_MASKS = Unnamed(0, 0, ())


def unnamed_masks(table: Path) -> Unnamed:
    """Return what `private/mask_names.csv` says of masks without a name; no masks if it cannot be read."""
    try:
        with open(table, newline="", encoding="utf-8", errors="replace") as stream:
            return _unnamed(csv.DictReader(stream))
    except (OSError, csv.Error):
        return NO_MASKS


def _unnamed(rows: Iterable[dict[str, str]]) -> Unnamed:
    counts: Counter[tuple[str, str]] = Counter()
    used = set()
    for row in rows:
        if row.get("name"):
            used.add(row["name"])
            continue
        label, description = decode_text(row.get("label") or ""), decode_text(row.get("description") or "")
        codes = [decode_text(code) for code in (row.get("codes") or "").split()]
        code = next((code for code in codes if CODE.fullmatch(code) and not _is_generic(code)), "")
        text = next((text for text in (label, description) if text.strip()), "")
        counts[(text, _pattern(text)) if text else (code, code)] += 1
    known = coded_concepts.ALL_NAMES | used
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    proposals = [
        Proposal(text, pattern, _like(text, known) if text != pattern else "", masks)
        for (text, pattern), masks in [item for item in ranked if item[0][1]][:MOST]
    ]
    return Unnamed(sum(counts.values()), len(counts), tuple(proposals))


def lines_of(unnamed: Unnamed, table: Path) -> list[str]:
    """Return the lines that `./run status` prints; none if all masks have a name.

    Names are of the vocabulary or ``name_1``, ``name_2`` ..., never made of a label, which may hold a person's name.
    """
    if not unnamed.masks:
        return []
    lines = [
        f"masks unnamed in the last run: {unnamed.masks}, of {unnamed.labels} {_plural('label', unnamed.labels)} "
        f"in {table}; they may identify people: do not pass this text on"
    ]
    by_name: dict[str, list[Proposal]] = {}
    for number, proposal in enumerate(unnamed.proposals, 1):
        by_name.setdefault(proposal.name or f"name_{number}", []).append(proposal)
    if by_name:
        lines.append(
            "masks: to name them, merge such lines into masks.names of the configuration; give name_1 ... a name"
        )
    for name, proposals in by_name.items():
        entries = ", ".join(_quoted(proposal.pattern) for proposal in proposals)
        count = sum(proposal.masks for proposal in proposals)
        lines.append(f"    {name}: [{entries}] # {count} {_plural('mask', count)}")
    if unnamed.labels > len(unnamed.proposals):
        lines.append(f"    # and {unnamed.labels - len(unnamed.proposals)} more")
    return lines


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _is_generic(code: str) -> bool:
    scheme, _, value = code.partition(":")
    value = coded_concepts.OLDER_CODES.get(value, value) if scheme in coded_concepts.OLDER_SCHEMES else value
    return value in coded_concepts.GENERIC | coded_concepts.FINDINGS


def _pattern(text: str) -> str:
    """Return a pattern that matches this text alone, in any case."""
    end = "$" if len(text) <= SEARCHED else ""
    return f"(?i)^{_SPECIAL.sub(lambda match: chr(92) + match[0], text[:SEARCHED])}{end}"


def _quoted(pattern: str) -> str:
    """Return a pattern in double quotes as YAML and JSON have them, without characters that steer a terminal."""
    text = json.dumps(pattern, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _like(text: str, known: Collection[str]) -> str:
    """Return the known name that is like a label; empty if none is."""
    words = re.findall(r"[a-z]+\d*|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text[:SEARCHED]).lower())
    sides = [_SIDES[word] for word in words if word in _SIDES]
    name = "_".join([*sides[:1], *(word for word in words if word not in _SIDES)])
    if name in known:
        return name
    near = difflib.get_close_matches(name, sorted(known), 1, 0.85)
    same_side = [word for word in near if [side for side in ("left", "right") if side in word.split("_")] == sides[:1]]
    return next((word for word in same_side if re.findall(r"\d+", word) == re.findall(r"\d+", name)), "")
