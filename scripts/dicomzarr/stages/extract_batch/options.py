"""What of the configuration shapes arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What of the configuration shapes arrays, and the code and libraries that make them."""

    compression: str
    layout: str
    tolerance: float
    cross_check: float
    burned_in: str
    software: tuple[str, ...]
    code: str
