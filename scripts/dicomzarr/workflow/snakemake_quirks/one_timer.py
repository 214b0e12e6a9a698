"""Let Snakemake's scheduler wait for one timer at a time.

Purpose: while jobs wait for a free core, each round of the scheduler starts a timer of one second that begins the next
round, for its limit of jobs a second. A job that ends begins a round, too, so that each adds a timer that never ends:
after some hundred jobs the main process looks at all waiting jobs without a pause.

Tested with 9.27.1: `JobScheduler._schedule_reevalutation`. With another version nothing changes.
"""

from __future__ import annotations

import time
from typing import Any

from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested


def keep_one_timer() -> None:
    """From now on, start a timer only if none ends as soon."""
    if not is_tested():
        return
    from snakemake.scheduling.job_scheduler import JobScheduler

    start = JobScheduler._schedule_reevalutation
    ends: dict[int, float] = {}  # of the last timer of each scheduler, by its id; monotonic seconds

    def schedule_reevaluation(self: Any, delay: float) -> None:
        now = time.monotonic()
        if not now < ends.get(id(self), now) <= now + delay:
            ends[id(self)] = now + delay
            start(self, delay)

    JobScheduler._schedule_reevalutation = schedule_reevaluation
