"""How the workflow is used: as the main one, included, or as a module."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any


class Use(enum.Enum):
    """How the workflow is used."""

    MAIN = "main"  # its Snakefile is the main one
    INCLUDED = "included"  # `include:` of another Snakefile, whose configuration and rules it shares
    MODULE = "module"  # `module:` of another Snakefile, with its own configuration


def use_of(workflow: Any, snakefile: Path) -> Use:
    """Return how the workflow is used; `snakefile` is the path of its own Snakefile.

    Tested with 9.27.1, which has a stack of modifiers, one per module. With another version, a module is taken for
    `INCLUDED`.
    """
    if len(getattr(workflow, "modifier_stack", ())) > 1:
        return Use.MODULE
    return Use.MAIN if Path(str(workflow.main_snakefile)).resolve() == snakefile.resolve() else Use.INCLUDED
