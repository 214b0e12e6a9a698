"""The start of the main process: what it need not load."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from dicomzarr.system.project import ROOT

_PLUGIN = re.compile(r"snakemake_(?!interface)\w+_plugin_\w+")


def leave_out_pandas(main_snakefile: str | Path) -> None:
    """Let Snakemake go without pandas, as where that is not installed.

    It imports pandas, for a quarter of a second, only to see that no param of a rule is a table; none of ours is. Where
    a plugin or a Snakefile that includes ours may want it, all stays as it is.

    Parameters
    ----------
    main_snakefile : path
        What Snakemake was started with.
    """
    others = any(_PLUGIN.fullmatch(name.partition(".")[0]) for name in sys.modules)
    if Path(main_snakefile).resolve().parent == ROOT and not others:
        sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # for the import system: there is no such module
