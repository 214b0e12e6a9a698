"""What each rule reads and writes, in words: for `./run explain` and the RO-Crate of a dataset."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """What one rule reads and writes; what is in quotes is a file below `dataset/`."""

    reads: str
    writes: str


STEPS = {
    "discover_files": Step(
        "names, sizes and times of the entries in the source folders", "the list of the files, which stays private"
    ),
    "index_headers": Step(
        "the header of each new or changed file", "the attributes for identity, order and decoding, which stay private"
    ),
    "plan_batches": Step(
        "the attributes of all files", "the plan: which files are one series of one patient, by keyed ids"
    ),
    "extract_batch": Step(
        "whole files of each series", "the arrays of the series with their metadata, and masks on the grid of images"
    ),
    "check_batch": Step(
        "the arrays again, voxel by voxel, through zarr-python", "the verdicts on depth, size and masks, and pictures"
    ),
    "report_depth": Step("the verdicts on depth", "the table of the depth of each array"),
    "report_size": Step("the verdicts on size", "the table of the size of each array"),
    "join_labels": Step(
        "label files and lists of splits, known by keyed digests", "labels and splits by series, and their report"
    ),
    "consolidate_dataset": Step(
        "the records of extraction and check", "the tables of arrays, masks and outcomes, and the provenance by series"
    ),
    "render_report": Step("the tables and pictures", "the report page"),
    "write_cards": Step("the tables and the words of the configuration", "the cards of the dataset"),
    "write_crate": Step("the records of the steps before, with their digests", "the description as an RO-Crate"),
    "check_privacy": Step(
        "all that was written outside of the private folder", "nothing: a leak would have ended the run"
    ),
    "seal_dataset": Step("the recorded digests of all files", "the list of all files, the digest and the seal"),
}
