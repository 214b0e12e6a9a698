"""Start without the executor plugin for Slurm where no option asks for it."""

from __future__ import annotations

import contextlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_PREFIX = "snakemake_executor_plugin_slurm"
# `slurm`, `-e=slurm`, `--slurm-…`, any option for a profile, and the help.
_ASKS = re.compile(r"(-e=?|--[a-z-]+=)?slurm|--slurm|--(workflow-)?prof|-h$|--help$")


def may_use_slurm(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> bool:
    """Return whether a command could send jobs to Slurm, or show the options for it.

    Parameters
    ----------
    arguments : sequence of str
        Of Snakemake.
    environment : mapping of str to str
        `SNAKEMAKE_PROFILE` names a profile.
    folder : Path
        Where Snakemake starts: it finds a profile `profiles/default` there.
    """
    if any(map(_ASKS.match, arguments)) or environment.get("SNAKEMAKE_PROFILE"):
        return True
    with contextlib.suppress(OSError):
        return any("slurm" in path.read_text("utf-8", "replace") for path in folder.glob("profiles/default/*.yaml"))
    return True


@contextlib.contextmanager
def without_slurm() -> Iterator[None]:
    """Hide the executor plugin for Slurm from an import of Snakemake.

    Purpose: Snakemake imports every plugin that is installed, and that one imports pandas and asks Slurm for its
    settings: half a second at each start.

    Tried with 9.27.1, which looks for plugins by `pkgutil.iter_modules` while `snakemake.cli` is imported. With another
    version, the plugin may be imported.
    """
    usual = pkgutil.iter_modules

    def iter_modules(*arguments: Any, **options: Any) -> Iterator[Any]:
        return (module for module in usual(*arguments, **options) if not module.name.startswith(_PREFIX))

    pkgutil.iter_modules = iter_modules
    try:
        yield
    finally:
        pkgutil.iter_modules = usual
