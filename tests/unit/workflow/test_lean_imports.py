"""What Snakemake does without packages that it does not need, beside what it does with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from conftest import ROOT

from dicomzarr.workflow.snakemake_quirks import lean_imports

PROGRAM = """
import sys
sys.path.insert(0, {scripts!r})
from pathlib import Path
from snakemake import cli, iocontainers, persistence, sourcecache
before = sourcecache.parse_uri, persistence.PersistenceBase._serialize_param_pandas
from dicomzarr.workflow.snakemake_quirks.lean_imports import import_less
import_less()
values = ["text", 1, 2.5, None, True, [1, "a"], dict(a=1), (1, 2), {{1}}, b"x"]
source = sourcecache.LocalSourceFile({path!r})
entry = source.get_cache_path()
with sourcecache.SourceCache(Path({cache!r})).open(source) as stream:
    text = stream.read()


def stored():
    snakemake = iocontainers.Snakemake.__new__(iocontainers.Snakemake)
    params = iocontainers.Params(toclone=values)
    params._set_name("first", 0)
    snakemake._safely_store_params(params)
    return list(snakemake._params_store), dict(snakemake._params_types), snakemake.params.first


class Persistence(persistence.PersistenceBase):
    __abstractmethods__ = frozenset()
    def __init__(self): pass


Persistence.__abstractmethods__ = frozenset()
lean = [Persistence()._serialize_param_pandas(value) for value in values], stored()
assert not {{"pandas", "boto3", "smart_open"}} & sys.modules.keys(), "imported"
assert text == Path({path!r}).read_text()
parse, serialize = before
sourcecache.parse_uri = parse
assert entry == source.get_cache_path() and entry.startswith("file/")
assert lean[0] == [serialize(Persistence(), value) for value in values]
import pandas
assert lean[1] == stored()
values += [pandas.DataFrame(dict(a=[1, 2]))]
assert stored()[1] == {{len(values) - 1: "pd.DataFrame"}}
assert Persistence()._serialize_param_pandas(values[-1]).startswith("[")
"""


@pytest.mark.parametrize("name", ["rule.smk", "odd name #1?x=%20.py", "a:b.py"])
def test_plain_params_and_local_files_are_handled_alike_without_their_packages(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("first line\nä\n", encoding="utf-8")
    program = PROGRAM.format(scripts=str(ROOT / "scripts"), path=str(path), cache=str(tmp_path / "cache"))
    process = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]


def test_values_of_data_frames_are_not_plain() -> None:
    class Frame(pandas.DataFrame):  # type: ignore[misc]
        pass

    for value in (pandas.Series([1]), pandas.DataFrame(), Frame(), pandas.Index([1]), np.zeros(2), np.float64(1)):
        assert not lean_imports._is_plain(value)
    for plain in ("a", 1, None, [1], {"a": 1}, Path("x")):
        assert lean_imports._is_plain(plain)
