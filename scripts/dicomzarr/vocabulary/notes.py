"""Beginnings of notes that several commands print."""

from __future__ import annotations

RESTORED = "note: this looks like a remount or a restored copy"
