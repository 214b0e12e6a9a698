"""Publish the sealed dataset to the target of the config key `publish`; no log, record or message names it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from dicomzarr.publishing import stores, upload
from dicomzarr.publishing.sent_objects import SentObjects
from dicomzarr.records.digests import DATASET, SEALED
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source import object_store
from dicomzarr.source.inventory import read_roots
from dicomzarr.system import files
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

log = logging.getLogger("dicomzarr")


def publish(results: Results, config: Mapping[str, Any]) -> RuleRecord:
    """Bring the target up to date with the dataset.

    Parameters
    ----------
    results : Results
    config : mapping
        The config key `publish`: target, endpoint, region and keep.

    Returns
    -------
    RuleRecord
        With the numbers of objects of the version, and what was done.

    Raises
    ------
    UserError
        If the dataset is not sealed or not as recorded, or the target cannot be written.
    """
    folders, in_buckets = object_store.split_roots(read_roots(results.inventory).values())
    target = stores.check(config, os.environ, [results.root, *folders], in_buckets)
    recorded = RuleRecord.load(results.records / "seal_dataset.json").claims[DATASET + SEALED]
    if not files.is_file(results.sealed) or files.sha256_of(results.sealed) != recorded.digest:
        raise UserError("the dataset is not sealed, or its seal is damaged: run ./run verify; nothing was published")
    store = stores.open_store(target, os.environ)
    sent = SentObjects(results.private / "published.jsonl", json.dumps(dataclasses.astuple(target)[:3]))
    publication = upload.Publication(results.dataset, store, sent, Progress(results.private, "publish"))
    try:
        publication.publish(config.get("keep"))
    finally:
        sent.flush()
    work = publication.work
    objects = work.uploaded + work.copied + work.unchanged  # with the signature, if there is one
    log.info(
        "version %s: %d objects, %d sent, %d copied, %d there already; the tags of %d are the MD5 of what was sent, of "
        "the others sizes and tags are as after sending",
        publication.version, objects, work.uploaded, work.copied, work.unchanged, work.proven,
    )  # fmt: skip
    return RuleRecord(counts={"objects": objects}, work=dataclasses.asdict(work))
