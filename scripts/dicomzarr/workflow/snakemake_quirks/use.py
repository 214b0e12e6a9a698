"""How the workflow is used: as the main one, included, or as a module."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any


class Use(enum.Enum):
    """How the workflow came to be parsed."""

    MAIN = "main"  # its Snakefile was started
    INCLUDED = "included"  # `include:` of another Snakefile, whose configuration and rules it shares
    MODULE = "module"  # `module:` of another Snakefile, with a configuration of its own


def use_of(workflow: Any, snakefile: Path) -> Use:
    """Return how the workflow is used; `snakefile` is ours.

    Tried with 9.27.1: a stack of modifiers, one for each module. With another version a module counts as included.
    """
    if len(getattr(workflow, "modifier_stack", ())) > 1:
        return Use.MODULE
    return Use.MAIN if Path(str(workflow.main_snakefile)).resolve() == snakefile.resolve() else Use.INCLUDED
