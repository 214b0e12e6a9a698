"""Several configuration files and values: read as Snakemake reads them, or refused where it would drop some."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.utils import update_config

from dicomzarr.commands.launcher import options
from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import config_file

# Not the empty mapping: in Snakemake it leaves any value before it as it is.
VALUES = (
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
)
CONFIGS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        VALUES, lambda values: st.dictionaries(st.sampled_from("abc"), values, min_size=1, max_size=3), max_leaves=6
    ),
    max_size=3,
)


@given(st.lists(CONFIGS, max_size=3))
def test_files_are_merged_as_by_snakemake(files: list[dict[str, object]]) -> None:
    theirs: dict[str, object] = {}
    ours: dict[str, object] = {}
    for content in files:
        update_config(theirs, yaml.safe_load(yaml.safe_dump(content)))
        ours = config_file.merged(ours, content)
    assert ours == theirs


def test_words_find_a_key_whose_parts_are_in_several_files(tmp_path: Path) -> None:
    """`./run retrieve` did not find the address of the server in the first of two files."""
    first, second = tmp_path / "site.yaml", tmp_path / "my.yaml"
    first.write_text("dicomweb: {url: https://pacs.example.org/dicom-web}\nlimits: {seconds: 5}\n")
    second.write_text("dicomweb: {studies: wanted.csv}\n")
    given_options = options.parse(BY_NAME["retrieve"], ["--configfile", str(first), str(second)])
    config = options.configuration_of(given_options)
    assert config["dicomweb"] == {"url": "https://pacs.example.org/dicom-web", "studies": "wanted.csv"}
    assert (config["limits"]["seconds"], config["limits"]["megabytes"]) == (5, 768)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("--configfile a.yaml --configfile b.yaml", "--configfile"),
        ("--configfile=a.yaml --cores 2 --configfiles b.yaml", "--configfile"),
        ("--config a=1 --config b=2", "--config"),
        ("-C a=1 --config=b=2", "--config"),
        ("-Ca=1 -Cb=2", "--config"),
        ("--configfile a.yaml b.yaml --config a=1 b=2 --cores 2", ""),
        ("--configfile a.yaml --config a=--config -c2", ""),
        ("--cores 2 -- --config --config", ""),
    ],
)
def test_what_snakemake_would_drop_is_refused(arguments: str, option: str) -> None:
    if not option:
        config_file.refuse_repeated(arguments.split())
        return
    with pytest.raises(
        UserError, match=rf"^{option} is there twice, and Snakemake would take the last alone; write all"
    ):
        config_file.refuse_repeated(arguments.split())
