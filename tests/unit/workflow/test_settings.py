"""Every wrong value is refused with a message that names its key, before the source is read."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings

NNUNET = {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver"]}
WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"limits": {"seconds": 0}}, ("'limits.seconds'", "found 0", "from 1")),
    ({"limits": {"seconds": 1.5}}, ("'limits.seconds'", "a whole number")),
    ({"limits": {"seconds": "long"}}, ("'limits.seconds'", "'long' (text)")),
    ({"limits": {"megabytes": 1}}, ("'limits.megabytes'", "from 64")),
    ({"burned_in": False}, ("found false (true/false; so YAML reads yes, no, on and off without quotes)", "skip")),
    ({"levels": "3"}, ("found '3' (text), allowed is a whole number from 1 up to 8; write it without quotes",)),
    ({"limits": {"megabytes": True}}, ("'limits.megabytes'", "true/false")),
    ({"splits": {"train": 0.8, "val": 0.2}}, ("'splits.train' is not known", "below 'fractions'", "{train: 0.8, ...}")),
    ({"limits": {"second": 5}}, ("'limits.second' is not known", "did you mean 'seconds'")),
    ({"spacing_tolerance": "1e-3"}, ("'1e-3' (text)", "an exponent behind a point", "as in 1.0e-3")),
    ({"limits": 5}, ("'limits'", "a mapping")),
    (
        {"limits": {"seconds": "50"}},
        ("'limits.seconds'", "'50' (text)", "write it without quotes in a configuration file"),
    ),
    ({"source": {2024: "source"}}, ("'source': found the name 2024 (no text)", 'as in "2024"')),
    ({"gate": {1: 0}}, ("'gate': found the name 1 (no text)",)),
    ({"splits": {"fractions": {"train": 0.8, 2: 0.2}}}, ("'splits.fractions': found the name 2",)),
    ({"masks": {"names": {False: ["x"]}}}, ("'masks.names': found the name false (true/false)",)),
    (
        {"labels": [{"file": "l.csv", "by": "path", "key": "p", "columns": {True: {"values": ["a"]}}}]},
        ("'labels.0.columns': found the name true",),
    ),
    ({"limits": None}, ("'limits'", "nothing")),
    ({"object_store": {"secret_access_key": "wren"}}, ("'object_store.secret_access_key' is not known; known keys: ",)),
    ({"object_store": {"anonymous": "yes"}}, ("'object_store.anonymous'", "true, false")),
    (
        {"source": {"a": "s3://bucket/x", "b": "s3://bucket/x/y"}, "object_store": {"anonymous": True}},
        ("'source'", "one prefix lies inside another"),
    ),
    ({"source": "gs://bucket"}, ("'source'", "gs://", "s3://bucket/prefix")),
    ({"follow_links": "yes"}, ("'follow_links'", "'yes'", "true, false")),
    ({"follow_link": True}, ("'follow_link' is not known", "did you mean 'follow_links'")),
    ({"export_level": 10}, ("'export_level'", "found 10", "a whole number from 0 up to 9")),
    ({"export_level": -1}, ("'export_level'", "from 0")),
    ({"export_level": "best"}, ("'export_level'", "'best' (text)")),
    ({"export_levels": 1}, ("'export_levels' is not known", "did you mean 'export_level'")),
    ({"gate": {"png_refuse": 0}}, ("'gate.png_refuse' is not a finding", "did you mean 'png_refused'")),
    ({"nnunet": {"labels": ["liver"]}}, ("'nnunet.dataset' is missing",)),
    ({"nnunet": {"dataset": "Dataset1_A"}}, ("'nnunet.dataset'", "three digits")),
    ({"nnunet": NNUNET | {"modality": "ct"}}, ("'nnunet.modality'", "CT or MR")),
    ({"nnunet": NNUNET | {"labels": []}}, ("'nnunet.labels'", "names of masks")),
    ({"nnunet": NNUNET | {"labels": ["ignore"]}}, ("'nnunet.labels.0'", "a name of small letters")),
    ({"nnunet": NNUNET | {"labels": ["livre"]}}, ("'nnunet.labels.0'", "did you mean 'liver'")),
    ({"nnunet": NNUNET | {"overlaps": "yes"}}, ("'nnunet.overlaps'", "refuse, regions, nested")),
    ({"nnunet": NNUNET | {"format": "mha"}}, ("'nnunet.format'", "nifti, zarr")),
    ({"publish": {"keep": 2}}, ("'publish.target' is missing", "s3://bucket/prefix")),
    ({"publish": {"target": "https://example.org/x"}}, ("'publish.target'", "s3://bucket/prefix")),
    ({"publish": {"target": "s3://bucket/x", "endpoint": "s3.example.org"}}, ("'publish.endpoint'", "https://")),
    ({"publish": {"target": "s3://bucket/x", "keep": 0}}, ("'publish.keep'", "from 1")),
    ({"gate": {"nnunet_refuse": 0}}, ("did you mean 'nnunet_refused'",)),
    ({"levels": 0}, ("'levels'", "from 1")),
    ({"levels": True}, ("'levels'", "a whole number")),
    ({"cross_check": 2}, ("'cross_check'", "up to 1")),
    ({"cross_check": "all"}, ("'cross_check'", "a number")),
    ({"largest_drop": -0.1}, ("'largest_drop'", "from 0")),
    ({"confirm_drop": 1}, ("'confirm_drop'", "true, false")),
    ({"paranoid": "maybe"}, ("'paranoid'", "'maybe'")),
    ({"keep_removed": []}, ("'keep_removed'", "a list")),
    ({"batch": []}, ("'batch'", "a list", "a mapping")),
    ({"batch": {"megabytes": "many"}}, ("'batch.megabytes'", "'many'")),
    ({"batch": {"series": 1e9}}, ("'batch.series'", "up to 100000")),
    ({"source": []}, ("'source'", "a list")),
    ({"source": {}}, ("'source': found an empty mapping",)),
    ({"source": ""}, ("'source'",)),
    ({"source": None}, ("'source'", "nothing")),
    ({"source": "file"}, ("'source'", "'file' is not a folder")),
    ({"source": {"one": "source", "two": "nowhere"}}, ("'source.two'", "does not exist")),
    (
        {"source": "gone", "dicomweb": {"url": "https://pacs.example.org"}},
        ("'source'", "does not exist; ./run retrieve"),
    ),
    (
        {"source": {"one": "gone"}, "dicomweb": {"url": "https://pacs.example.org", "label": "two"}},
        ("'source.one'", "does not exist; mount"),
    ),
    ({"source": "x" * 300}, ("'source'", "cannot be read: File name too long")),
    ({"source": {"one": "circle"}}, ("'source.one'", "'circle' cannot be read: Too many levels of symbolic links")),
    ({"source": "file/below/it"}, ("'source'", "does not exist; mount its disk")),
    ({"source": {"one": 5}}, ("'source.one': found 5 (a number), allowed is a folder or s3://bucket/prefix",)),
    ({"source": {"one": ""}}, ("'source.one': found '' (text), allowed is a folder",)),
    ({"source": {"one": None, "two": "source"}}, ("'source.one': found nothing, allowed is a folder",)),
    ({"source": {"": "source"}}, ("'source': found the name '' (text), allowed is a label of letters",)),
    ({"source": {"../x": "source"}}, ("'source': found the name '../x' (text), allowed is a label of letters",)),
    ({"source": {"one": "source", "two": "source/link"}}, ("'source'", "lies inside another")),
    ({"results": 5}, ("'results'", "found 5")),
    ({"results": None}, ("'results'", "nothing")),
    ({"results": "file"}, ("'results'", "'file' is a file, and no folder; name another folder")),
    ({"results": "file/below/it"}, ("'results'", "'file' is a file, and no folder; name another folder")),
    ({"results": "dangling/below"}, ("'results'", "'dangling' is a link to nothing; mount or make its target, or")),
    ({"results": "dangling"}, ("'results'", "'dangling' is a link to nothing; mount or make its target")),
    ({"results": "a\nb"}, ("'results'",)),
    ({"results": "s3://bucket/prepared"}, ("'results'", "looks like a URL; needed is a folder", "./run publish")),
    ({"results": "source/link/results"}, ("'results'", "inside the source")),
    ({"burned_in": True}, ("'burned_in'", "skip, scan, keep")),
    ({"burned_in": "keep", "burned_in_reason": ""}, ("'burned_in_reason' is empty",)),
    ({"burned_in_reason": 5}, ("'burned_in_reason'", "a sentence")),
    ({"burned_in_reason": "x" * 501}, ("'burned_in_reason'",)),
    ({"faces": True}, ("'faces'", "keep, skip")),
    ({"faces_reason": "because"}, ("'faces_reason'", "not_assessed, consent, defaced, research_needs_faces")),
    ({"gate": {"depth_fail": "none"}}, ("'gate.depth_fail'", "'none'")),
    ({"gate": {"timeouts": 0}}, ("'gate.timeouts' is not a finding", "did you mean 'timeout'")),
    ({"compression": None}, ("'compression'", "balanced, fast, small, none")),
    ({"layout": "slices"}, ("'layout'", "slice, brick")),
    ({"spacing_tolerance": 0.6}, ("'spacing_tolerance'", "up to 0.5")),
    ({"results": "a\0b"}, ("'results'",)),
    ({"results": "x" * 300}, ("'results'", "File name too long")),
    ({"source": {"a\n": "source"}}, ("'source",)),
    ({"source": "a\0b"}, ("'source'", "does not exist")),
    ({"cross_check": math.nan}, ("'cross_check'", "found nan")),
    ({"spacing_tolerance": math.nan}, ("'spacing_tolerance'", "found nan")),
    ({"splits": {"fractions": {"a": 1, "b": math.nan}}}, ("'splits.fractions.b'", "found nan")),
    ({"labels": [{"folder": 1, "name": "a", "values": ["x\n"]}]}, ("'labels.0.values.0'",)),
    ({"Source": "source"}, ("'Source' is not known", "did you mean 'source'")),
    ({"results": "$HOME/results"}, ("'results'", "holds $HOME", "not expanded; write the whole path")),
    ({"results": "${HOME}/results"}, ("'results'", "holds ${HOME}", "not expanded")),
    ({"results": "r{1}"}, ("'results'", "found '{'", "which Snakemake reserves")),
    ({"results": "r\udcc9sultats"}, ("'results'", "bytes that are no UTF-8", "start in it")),
    ({"results": "%USERPROFILE%/x"}, ("'results'", "holds %USERPROFILE%")),
    ({"results": "below/$USER"}, ("'results'", "holds $USER")),
    ({"results": "~maria/results"}, ("'results'", "holds ~")),
    ({"source": "~"}, ("'source'", "holds ~", "not expanded")),
    ({"source": {"one": "$DATA/dicom"}}, ("'source.one'", "holds $DATA")),
    (
        {"labels": [{"file": "$HOME/l.csv", "by": "patient", "key": "id", "columns": {"a": {"values": ["x"]}}}]},
        ("'labels.0.file'", "holds $HOME"),
    ),
    ({"splits": {"fractions": {"a": 1}, "fixed": {"a": "~/a.csv"}}}, ("'splits.fixed.a'", "holds ~")),
]


HOLDS_ITSELF: list[object] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)
WRONG.append(({"labels": HOLDS_ITSELF}, ("'labels'", "a YAML alias (*name) lies within its own anchor")))


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=[f"{i} {wrong!r:.40}" for i, (wrong, _) in enumerate(WRONG)])
def test_a_wrong_key_is_named_and_nothing_is_read(
    wrong: dict[str, Any], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source" / "below").mkdir(parents=True)
    (tmp_path / "source" / "link").symlink_to("below")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"source": "source", "results": "results"}
    settings.check(config)  # valid

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the source was read")

    for name in ("scandir", "listdir", "open"):
        monkeypatch.setattr(os, name, read)
    with pytest.raises(ConfigProblem) as caught:
        settings.check(config | wrong)
    for word in ("config key", *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_there_are_at_least_thirty_cases() -> None:
    assert len(WRONG) >= 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"publish": {"target": "s3://bucket/x", "endpoint": "https://USER:SECRET@host"}},
        {"publish": {"target": "https://USER:SEC/RET@host/x"}},
        {"results": "s3://USER:SECRET@bucket/x"},
        {"layout": "ftp://USER:SECRET@" + "x" * 200},
    ],
)
def test_a_message_repeats_no_login_of_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"source": "source"} | wrong
    with pytest.raises(ConfigProblem) as caught:
        settings.check(config)
    assert "//…@" in str(caught.value) and "SEC" not in str(caught.value) and "USER" not in str(caught.value)


@pytest.mark.parametrize("name", ["$HOME", "${HOME}", "%TEMP%", "~", "~maria", "a$b%c%"])
def test_a_folder_with_such_a_name_is_accepted_if_it_exists(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    checked = settings.check(config | {"source": f"{name}/below", "results": "results"})
    assert checked.sources == {"": bytes(tmp_path / name / "below")}
    if "{" not in name:
        assert settings.check(config | {"source": str(tmp_path / name / "below"), "results": f"{name}/new"})


@pytest.mark.parametrize("name", ["100%", "a$", "$5", "50%_of_60%", "a~b", "cost$ and more"])
def test_signs_that_are_no_variables_are_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert settings.check(config | {"source": "source", "results": name}).results == Path(name)


@pytest.mark.parametrize(
    "config",
    [
        {"masks": {"names": {"Liver!": ["x"]}}},
        {"masks": {"expected": ["Li ver"]}},
        {"splits": {"fractions": {"A b": 1}}},
        {"splits": {"fractions": {"a" * 41: 1}}},
        {"masks": {"expected": ["4th_rib"]}},
    ],
)
def test_a_name_that_is_not_possible_is_answered_with_what_is(config: dict[str, Any]) -> None:
    defaults = yaml.safe_load(settings.DEFAULTS.read_text())
    allowed = "allowed is a name of small letters, digits and _, a letter first, at most 40"
    with pytest.raises(ConfigProblem, match=allowed):
        settings.check({**defaults, "source": "x", "results": "y", **config})


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ({"publish": "s3://bucket/liver"}, "a mapping with target, endpoint, region, keep"),
        ({"splits": {"fractions": {"a": 1}, "fixed": "test.csv"}}, "a mapping from a split to the path of a CSV file"),
        ({"labels": [{"file": ["a.csv"]}]}, "the path of a CSV file"),
        ({"object_store": {"endpoint": 3}}, "an address such as https://s3.example.org"),
    ],
)
def test_a_value_of_another_kind_is_answered_with_what_is_needed(config: dict[str, Any], allowed: str) -> None:
    defaults = yaml.safe_load(settings.DEFAULTS.read_text())
    with pytest.raises(ConfigProblem, match=f"allowed is {re.escape(allowed)}$"):
        settings.check({**defaults, "source": "x", "results": "y", **config})


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("./out", "out"),
        ("out/", "out"),
        ("a//b/./c", "a/b/c"),
        ("../out", "../out"),
        ("a/../out", "a/../out"),  # `a` may be a link
        ("/data/out/", "/data/out"),
        ("~x", "~x"),
        (".", os.getcwd()),
    ],
)
def test_the_results_folder_has_one_form(written: str, used: str) -> None:
    """Snakemake takes ./out and out for different files, so that a dry run would miss what a run writes."""
    assert settings.with_defaults({"results": written})["results"] == used
