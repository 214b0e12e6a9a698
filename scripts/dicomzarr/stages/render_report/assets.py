"""What the page brings along: its style, its scripts and Chart.js, and the policy that lets nothing else run.

These are files of the product and hold nothing of a dataset. The privacy search leaves out exactly their bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
STYLE = "style.css"
SCRIPTS = ("explorer.js", "volume.js", "charts.js")
LIBRARY = "vendor/chart.umd.min.js"  # of chart.js 4.6.1, as npm has it
# Not computed from the file: the browser runs no other bytes.
LIBRARY_DIGEST = "sha256-hzZMwrKnamaEkp59a4Cxiol3lNs4QAyv8fzxeRxpJdI="
_POLICY = (
    "default-src 'none'; style-src '{style}'; script-src {scripts}; img-src 'self' data: file:; base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Assets:
    """Texts that the page holds as they are, and the Content-Security-Policy that names their digests."""

    style: str
    library: str
    scripts: tuple[str, ...]
    policy: str


@functools.cache
def assets() -> Assets:
    """Return style, scripts and policy of the page."""
    style, library, *scripts = (_HERE.joinpath(name).read_text("utf-8") for name in (STYLE, LIBRARY, *SCRIPTS))
    digests = [LIBRARY_DIGEST, *map(_digest, scripts)]
    policy = _POLICY.format(style=_digest(style), scripts=" ".join(f"'{digest}'" for digest in digests))
    return Assets(style, library, tuple(scripts), policy)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
