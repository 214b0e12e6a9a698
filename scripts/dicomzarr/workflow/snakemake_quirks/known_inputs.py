"""Let Snakemake ask for the size of each input once, and read it once for its checksum.

Purpose: whenever a job ends, Snakemake asks for the sizes of all inputs of all jobs that could start, one coroutine for
each: beside a thousand batches this takes longer than the jobs. The inputs of a job that could start no longer change,
and their sizes only decide which of several jobs starts first. When a job with many outputs ends, Snakemake reads all
its inputs once for each output.

Tested with 9.27.1: `JobScheduler.update_input_sizes`, its `_input_sizes`, and `_IOFile.checksum`. With another version
nothing changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested


def ask_once() -> None:
    """From now on, ask only for the sizes and checksums that are not known yet."""
    if not is_tested():
        return
    from snakemake.io import _IOFile
    from snakemake.scheduling.job_scheduler import JobScheduler

    async def update_input_sizes(self: Any, jobs: Iterable[Any]) -> None:
        sizes = self._input_sizes
        paths = {path for job in jobs for path in job.input}
        for path in sizes.keys() - paths:
            del sizes[path]
        for path in paths - sizes.keys():
            sizes[path] = await path.size() if await path.exists() else None

    checksums: dict[tuple[object, ...], str | None] = {}
    compute = _IOFile.checksum

    async def checksum(self: Any, threshold: Any = None, force: bool = False, algorithm: Any = None) -> Any:
        if self.is_storage or force or algorithm is not None:
            return await compute(self, threshold, force, algorithm)
        try:
            now = os.stat(self.file)
        except OSError:
            return await compute(self, threshold)
        key = (self.file, threshold, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
        if key not in checksums:
            checksums[key] = await compute(self, threshold)
        return checksums[key]

    JobScheduler.update_input_sizes = update_input_sizes
    _IOFile.checksum = checksum
