"""Validate an RO-Crate with roc-validator, whose profiles come with the package, without a network.

The one document that it would fetch is the context of RO-Crate 1.1, which is here as published at
https://w3id.org/ro/crate/1.1/context (version 1.1.3, CC0 1.0).
"""

from __future__ import annotations

import gzip
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "provenance-run-crate"
_DOCUMENT = Path(__file__).with_name("ro_crate_context_1.1.jsonld.gz")


def crate_issues(dataset: Path, severity: str = "REQUIRED") -> list[tuple[str, str]]:
    """Return the issues of a crate, of this severity and graver: the severity and the message of each, sorted."""
    os.environ["ROCRATE_VALIDATOR_AUTO_WARM"] = "0"
    logging.getLogger("rocrate_validator").setLevel(logging.ERROR)
    with cached_context() as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib, in the code of the validator
        from rocrate_validator import services
        from rocrate_validator.models import Severity, ValidationSettings

        settings = ValidationSettings(
            rocrate_uri=str(dataset),
            profile_identifier=PROFILE,
            requirement_severity=Severity[severity],
            cache_path=cache,
            offline=True,
        )
        result = services.validate(settings)
        return sorted({(issue.severity.name, issue.message or "") for issue in result.get_issues()})


@contextmanager
def cached_context() -> Iterator[Path]:
    """Yield a cache that the validator asks instead of the network, with the context in it."""
    from requests_cache import CachedRequest, CachedResponse, CachedSession

    response = CachedResponse(
        status_code=200,
        url=CONTEXT,
        headers={"Content-Type": "application/ld+json"},
        content=gzip.decompress(_DOCUMENT.read_bytes()),
        request=CachedRequest(method="GET", url=CONTEXT),
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "http"
        with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
            session.cache.save_response(response)
        yield cache
