"""Run Snakemake so that Ctrl-C prints no traceback: `python -P snakemake_process.py` instead of `snakemake`.

SIGINT is blocked at the start, so that it prints no traceback while Python starts. While Snakemake is being imported,
SIGINT ends the process at once. After that it raises KeyboardInterrupt, as usual, until the Snakefile installs its own
handler (`workflow/snakemake_quirks/ending.py`).
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run Snakemake with the arguments of this process and return its exit status."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from snakemake import cli

    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()  # raises SystemExit
    except KeyboardInterrupt:
        print("Cancelled on user request", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.argv[0] = "snakemake"
    sys.exit(main())
