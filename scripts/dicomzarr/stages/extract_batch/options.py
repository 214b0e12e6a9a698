"""The options that decide the content of arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Everything but the source files that decides the content of arrays.

    Attributes
    ----------
    compression, layout, burned_in : str
        The configuration keys of these names.
    tolerance : float
        Largest distance of a slice from its position on a regular grid, as a fraction of the slice spacing.
    cross_check : float
        Share of the frames that a second decoder reads too; from 0 to 1.
    software : tuple of str
        Names and versions of the packages that decode and write.
    code : str
        Digest of the code of the rule.
    levels, allow_short : int
        The configuration keys of these names; only `burned_in: scan` depends on the second.
    detector : str
        Digest of the code that looks for text. Arrays do not depend on it: a new one looks again.
    decisions : tuple of (str, str)
        Content of a file and what was decided for it, sorted.
    faces : str
        The configuration key of this name: ``keep``, or ``skip`` for series that may show a face. Only the outcome of
        those depends on it.
    mask_names : tuple of (str, tuple of str)
        `masks: names` of the configuration, in its order: name and its patterns or codes. Only the series that have
        masks depend on it.
    names_digest : str
        Keyed digest of `mask_names`, which records have in place of them.
    """

    compression: str
    layout: str
    tolerance: float
    cross_check: float
    burned_in: str
    software: tuple[str, ...]
    code: str
    levels: int = 1
    mask_names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    names_digest: str = ""
    allow_short: int = 2
    detector: str = ""
    decisions: tuple[tuple[str, str], ...] = ()
    faces: str = "keep"
