"""What Snakemake does without packages that it does not need, beside what it does with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from conftest import ROOT

from dicomzarr.workflow.snakemake_quirks import lean_imports

PROGRAM = """
import sys
sys.path.insert(0, {scripts!r})
from pathlib import Path
from typing import Any
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


PROFILE = """
cores: 2
rerun-triggers: [mtime, params]
configfile: near.yaml
config:
  number: "1"
default-resources:
  mem_mb: 100
"""
TEMPLATE = """
__use_yte__: true
?if 1 + 1 == 2:
  cores: 3
"""
PARSE = """
import json, sys
sys.path.insert(0, sys.argv.pop(1))
from snakemake import cli
from dicomzarr.workflow.snakemake_quirks.lean_imports import import_less
if sys.argv.pop(1) == "less":
    import_less()
_, args = cli.parse_args(sys.argv[1:])
from snakemake_interface_report_plugins.registry import ReportPluginRegistry
found = {name: repr(value) for name, value in vars(args).items() if not name.startswith("report_html")}
found = {name: value for name, value in found.items() if " at 0x" not in value}
imported = sorted({"numpy", "docutils", "dpath"} & sys.modules.keys())  # dpath is imported by yte alone
settings = ReportPluginRegistry().get_plugin("html").settings_cls.__name__
print(json.dumps([found, imported, settings]))
"""


def parsed(how: str, profile: str, folder: Path, *arguments: str) -> list[Any]:
    """Return what Snakemake parses, which of three packages it has imported by then, and the settings of its report."""
    folder.mkdir(exist_ok=True)
    (folder / "near.yaml").write_text("a: 1\n")
    (folder / "config.yaml").write_text(profile)
    command = [sys.executable, "-c", PARSE, str(ROOT / "scripts"), how, "--profile", str(folder), *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # the same order of the members of sets
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    values: list[Any] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize(
    ("profile", "arguments", "expected"),
    [
        (PROFILE, [], []),
        (TEMPLATE, [], ["dpath", "numpy"]),
        (PROFILE, ["--report", "page.html"], ["docutils", "dpath", "numpy"]),
    ],
)
def test_profiles_and_options_mean_the_same(
    tmp_path: Path, profile: str, arguments: list[str], expected: list[str]
) -> None:
    less, imported, settings = parsed("less", profile, tmp_path / "profile", *arguments)
    always, everything, same_settings = parsed("always", profile, tmp_path / "profile", *arguments)
    assert (less, settings) == (always, same_settings) and len(less) > 100
    assert imported == expected
    assert everything == ["docutils", "dpath", "numpy"]  # if this fails, Snakemake imports less by itself


def test_help_shows_the_options_of_the_report(tmp_path: Path) -> None:
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from snakemake import cli\n"
    program += "from dicomzarr.workflow.snakemake_quirks.lean_imports import import_less\n"
    program += "import_less(); cli.main()"
    command = [sys.executable, "-c", program, str(ROOT / "scripts"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "--report-html-path" in done.stdout


def test_configurations_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("a: [1, 2.5, yes]\nb: {c: null}\n")
    (tmp_path / "template.yaml").write_text("__use_yte__: true\na: ?1 + 1\n")
    (tmp_path / "wrong.yaml").write_text("a: [1\nb: 2\n")
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
from snakemake.common.configfile import load_configfile
from snakemake_interface_common.exceptions import WorkflowError
from dicomzarr.workflow.snakemake_quirks.lean_imports import import_less
if sys.argv[2] == "less":
    import_less()
found = [load_configfile("plain.yaml"), "numpy" in sys.modules]
try:
    load_configfile("wrong.yaml")
except WorkflowError as error:
    found.append(str(error))
found.append(load_configfile("template.yaml"))
import yte
from yte.context import Context
found += [yte.process_yaml("?if True:\\n  a: 1\\n"), yte.__name__, Context.__module__]
print(json.dumps(found))
"""
    found = {}
    for how in ("less", "always"):
        command = [sys.executable, "-c", program, str(ROOT / "scripts"), how]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found[how] = json.loads(done.stdout)
    assert (found["less"].pop(1), found["always"].pop(1)) == (False, True)
    assert found["less"] == found["always"]
    assert found["less"][0] == {"a": [1, 2.5, True], "b": {"c": None}} and found["less"][2] == {"a": 2}
