"""Sources of labels, written as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

KINDS = {"values": ["benign", "malignant"]}


def source(path: Path, text: str | bytes, by: str = "patient", key: str = "id", **columns: Any) -> dict[str, Any]:
    """Return a source of labels in a file of its own; its column `kind` is read if no other is named."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return {"file": str(path), "by": by, "key": key, "columns": columns or {"kind": KINDS}}
