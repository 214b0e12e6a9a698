"""The end of the main process, as soon as its work is done."""

from __future__ import annotations

import gc
import threading


def let_go() -> None:
    """Keep nothing that would hold the process for a second and more after its last job.

    Snakemake's scheduler leaves a timer of a second for each round of jobs, and Python waits for them; then it would
    look for garbage among all that it is about to give back.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
    gc.freeze()
