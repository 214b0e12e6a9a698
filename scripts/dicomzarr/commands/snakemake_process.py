"""Snakemake, ended by Ctrl-C without a traceback: `python -P snakemake_process.py` does what `snakemake` does.

SIGINT is blocked when this begins, so that none can end the start of Python in a traceback. While Snakemake is imported
there is nothing to clean up; afterwards it is told by a KeyboardInterrupt, as always, and cancels its jobs itself.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run Snakemake on the arguments of this process and return its exit status."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from snakemake import cli

    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()  # ends by sys.exit
    except KeyboardInterrupt:
        print("Cancelled on user request", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.argv[0] = "snakemake"
    sys.exit(main())
