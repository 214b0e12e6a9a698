"""The launcher as a user runs it: the real file in a copy of the project; stand-ins for uv and installed programs."""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from launched_project import Project
from waiting import wait_until

from dicomzarr.commands.launcher.command_table import TARGETS
from dicomzarr.commands.launcher.environment import cause_of_failure, default_folder
from dicomzarr.commands.run.command import snakemake_command
from dicomzarr.records import export_record

PARSER = pytest.mark.snakemake  # the launcher imports Snakemake for its parser


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def launcher() -> ModuleType:
    loader = SourceFileLoader("launcher", str(ROOT / "run"))
    spec = spec_from_loader("launcher", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


# ---- Python


def test_an_old_python_can_parse_it() -> None:
    ast.parse((ROOT / "run").read_text(encoding="utf-8"), feature_version=(3, 6))


def old_pythons() -> list[str]:
    versions = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    return [str(path) for path in versions if int(path.parts[-3].split(".")[1]) < 11]


@pytest.mark.parametrize(
    ("closed", "numbers"), [("<&-", [0]), (">&- 2>&-", [1, 2]), ("<&- >&- 2>&-", [0, 1, 2])], ids=["in", "out", "all"]
)
def test_streams_that_were_closed_are_open_before_any_file_is(tmp_path: Path, closed: str, numbers: list[int]) -> None:
    """As some services start programs: the lock of a run would be its standard error, and get its messages."""
    look = "import os; print(*map(os.readlink, (f'/proc/self/fd/{n}' for n in range(3))), file=open('seen', 'w'))"
    start = f"import runpy, sys; runpy.run_path({str(ROOT / 'run')!r})['open_closed_streams'](); "
    script = start + f"import os; os.execv(sys.executable, [sys.executable, '-c', {look!r}])"
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(script)} {closed}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    seen = (tmp_path / "seen").read_text().split()
    assert [number for number in range(3) if seen[number] == os.devnull] == numbers


# A command that prints one line.
PRINTS = (
    "import sys; from dicomzarr.commands import __main__ as main, diff; diff.main = lambda _: print(1, flush=True); "
)
PRINTS += "sys.exit(main.main(['diff']))"


@pytest.mark.parametrize("start", [[str(ROOT / "run"), "help"], ["-c", PRINTS]], ids=["help", "command"])
def test_output_that_a_full_disk_does_not_take_is_named_as_such(start: list[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    with open("/dev/full", "wb") as full:
        shown = subprocess.run(
            [sys.executable, *start], check=False, stdout=full, stderr=subprocess.PIPE, env=environment, text=True
        )
    assert shown.returncode and shown.stderr.startswith(
        "run: standard output cannot be written: No space left on device"
    )
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize("python", old_pythons() or [""])
def test_an_old_python_is_refused_or_replaced_by_a_newer_one(project: Project, python: str) -> None:
    if not python:
        pytest.skip("no Python before 3.11 is installed by pyenv")
    project.python = python
    alone = project.run("status")
    assert (alone.returncode, alone.stderr.count("\n")) == (1, 1)
    assert alone.stderr.startswith("run: Python 3.11 or newer is needed, found 3.")
    newer = project.bin / f"python3.{sys.version_info[1]}"
    newer.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    newer.chmod(0o755)
    found = project.run("help")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 14, 9)])
def test_supported_pythons(launcher: ModuleType, version: tuple[int, ...]) -> None:
    assert launcher.unsupported(version) == ""


@pytest.mark.parametrize(
    ("version", "says"), [((3, 6, 15), "3.11 or newer"), ((3, 10, 2), "3.11 or newer"), ((3, 15, 0), "3.11 to 3.14")]
)
def test_unsupported_pythons_are_refused_in_one_line(launcher: ModuleType, version: tuple[int, ...], says: str) -> None:
    message = launcher.unsupported(version)
    assert f"Python {says} is needed, found {version[0]}.{version[1]}: " in message
    assert "\n" not in message


# ---- The environment


def test_uv_installs_by_hashes_and_compiles_bytecode(project: Project) -> None:
    assert project.with_uv().run("--version").returncode == 0
    made, installed = (call["arguments"] for call in project.called("uv"))
    assert (made[0], made[-1]) == ("venv", str(project.venv))  # type: ignore[index]
    assert {
        "--require-hashes",
        "--compile-bytecode",
        str(project.root / "requirements.lock"),
        str(project.root / "envs/build.lock"),
    } <= set(installed)  # type: ignore[call-overload]


def test_a_current_environment_is_unchanged_and_starts_with_few_imports(project: Project) -> None:
    project.with_environment()
    before = sorted((path, path.stat().st_mtime_ns) for path in project.venv.rglob("*"))
    imported = {name.partition(".")[0] for name in project.imported("--version")}
    assert "dicomzarr" in imported and not {"numpy", "pandas", "pydicom", "snakemake", "zarr", "pip"} & imported
    assert not project.called("uv")
    assert sorted((path, path.stat().st_mtime_ns) for path in project.venv.rglob("*")) == before


def test_a_changed_lock_file_rebuilds_the_environment(project: Project) -> None:
    project.with_environment()
    (project.venv / "left over").mkdir()
    with (project.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    assert project.run("--version").returncode == 0
    assert len(project.called("uv")) == 2
    assert not (project.venv / "left over").exists()


def test_the_next_start_recovers_a_crash_while_the_environment_is_made(project: Project) -> None:
    project.with_uv()
    go_on = project.elsewhere / "go on"
    environment = project.environment(UV_WAITS_FOR=str(go_on))
    making = subprocess.Popen(project.command("--version"), cwd=project.root, env=environment)
    wait_until(lambda: project.called("uv"))
    making.kill()
    making.wait()
    (project.venv / "half a package").touch()
    project.calls.unlink()
    status, waited = waiting(project, "--version", go_on=go_on)
    assert status == 0
    assert "Waiting" in waited, "the orphaned uv must end before its folder is cleared"
    assert not (project.venv / "half a package").exists()
    assert len(project.called("snakemake")) == 1


def waiting(project: Project, *arguments: str, go_on: Path) -> tuple[int, str]:
    """Run the launcher; once it says something, create the file that the process it waits for waits for."""
    command = project.command(*arguments)
    with subprocess.Popen(
        command, cwd=project.root, env=project.environment(), stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr
        first = running.stderr.readline()
        go_on.touch()
        return running.wait(), first + running.stderr.read()


def test_two_first_starts_at_once_make_one_environment(project: Project) -> None:
    project.with_uv()
    go_on = project.elsewhere / "go on"
    environment = project.environment(UV_WAITS_FOR=str(go_on))
    with subprocess.Popen(project.command("--version"), cwd=project.root, env=environment) as first:
        wait_until(lambda: project.called("uv"))
        status, waited = waiting(project, "--version", go_on=go_on)
    assert first.returncode == status == 0 and f"Waiting for process {first.pid}" in waited
    assert len(project.called("uv")) == 2  # venv, pip install
    assert len(project.called("snakemake")) == 2


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="only Linux shows the holder of a lock")
def test_a_wait_for_the_environment_names_the_other_process_and_its_start(project: Project) -> None:
    project.with_environment()
    lock = project.root / "requirements-dev.lock"
    go_on = project.elsewhere / "go on"
    environment = project.environment(PYTHON_WAITS_FOR=str(go_on))
    with subprocess.Popen(project.command("test"), cwd=project.root, env=environment) as first:
        wait_until(lambda: project.called("python"))
        lock.write_text(lock.read_text() + "# changed\n")
        status, waited = waiting(project, "test", go_on=go_on)  # rebuilds the environment after the first has ended
    assert first.returncode == status == 0
    assert f"Waiting for process {first.pid}, started at " in waited
    assert "must be rebuilt, and is in use\n" in waited


def test_the_tests_add_packages_to_a_plain_environment(project: Project) -> None:
    project.with_uv().run("--version")
    (project.venv / "marker").touch()
    assert project.run("test").returncode == 0
    assert project.called("uv")[-1]["arguments"][-1] == str(project.root / "requirements-dev.lock")  # type: ignore[index]
    assert (project.venv / "marker").exists()
    assert project.run("--version").returncode == 0
    # The Python that starts `run` may be another one of this version by now: the environment keeps its own.
    assert [call["arguments"][0] for call in project.called("uv")] == ["venv", "pip", "pip"]  # type: ignore[index]


def test_tools_that_cannot_be_added_leave_the_environment_as_it_was(project: Project) -> None:
    project.with_uv().run("--version")
    before = sorted((path, path.stat().st_mtime_ns) for path in project.venv.rglob("*"))
    done = project.run("test", UV_FAILS="1", PYTHON_EXITS="1")
    assert done.returncode == 2 and "pip could not install requirements-dev.lock" in done.stderr
    assert sorted((path, path.stat().st_mtime_ns) for path in project.venv.rglob("*")) == before
    assert project.run("--version").returncode == 0


def test_an_environment_whose_python_was_removed_is_rebuilt(project: Project) -> None:
    """As when it was made in an environment of conda that was removed."""
    project.with_environment()
    (project.venv / "bin/python").unlink()
    (project.venv / "bin/python").symlink_to(project.elsewhere / "gone/python3")
    assert project.run("--version").returncode == 0
    assert [call["arguments"][0] for call in project.called("uv")] == ["venv", "pip"]  # type: ignore[index]


def test_without_links_the_environment_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(link: Path, target: str) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(link))

    assert default_folder(tmp_path) == tmp_path / ".venv" and not any(tmp_path.iterdir())
    monkeypatch.setattr(Path, "symlink_to", refused)
    assert default_folder(tmp_path).parent == Path.home() / ".cache" / "dicomzarr"
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()  # of a user who knew how to make one there
    assert default_folder(tmp_path) == tmp_path / ".venv"


def test_an_environment_whose_python_cannot_be_looked_at_is_there(tmp_path: Path) -> None:
    """As in the home of another user; here by a target with a name that is too long, since root may look anywhere."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to("x" * 300)
    assert default_folder(tmp_path) == tmp_path / ".venv"


def test_with_a_space_in_its_path_the_environment_is_in_the_cache(tmp_path: Path) -> None:
    project = Project(tmp_path, "my project").with_uv()
    assert project.run("--version", HOME=str(tmp_path)).returncode == 0
    (made,) = (tmp_path / ".cache" / "dicomzarr").iterdir()
    assert (made / "requirements.lock.stamp").exists()
    assert not project.venv.exists()
    done = project.run("--version", HOME=str(project.root))
    assert (done.returncode, "without spaces" in done.stderr) == (2, True)


def test_a_folder_not_made_by_run_is_never_changed(project: Project) -> None:
    theirs = project.elsewhere / "thesis.txt"
    theirs.write_text("years of work")
    done = project.with_uv().run("--version", DICOMZARR_VENV=str(project.elsewhere))
    assert done.returncode == 2
    assert "was not made by ./run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(project.elsewhere.iterdir()) == [theirs]


def test_a_python_that_was_built_without_a_library_is_refused_before_anything_is_installed(project: Project) -> None:
    """As by pyenv on a machine without liblzma-dev: each command would end in a traceback."""
    (project.elsewhere / "sitecustomize.py").write_text("import sys; sys.modules['_lzma'] = sys.modules['_bz2'] = None")
    done = project.with_uv().run("--version", PYTHONPATH=str(project.elsewhere))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "was built without bz2 and lzma: start ./run with another one" in done.stderr
    assert not project.called("uv")
    assert project.run("--version").returncode == 0


# A stand-in for setuptools: it "builds" the package `old`, by copying the wheel that it holds.
BACKEND = """
import pathlib, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return pathlib.Path(shutil.copy(pathlib.Path(__file__).with_name("old-1.0-py3-none-any.whl"), folder)).name
__legacy__ = type("Legacy", (), {"build_wheel": staticmethod(build_wheel)})
"""


def write_wheel(folder: Path, name: str, version: str, contents: dict[str, bytes]) -> Path:
    """Write a wheel with these files, and return its path."""
    wheel, facts = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    metadata = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = {**contents, **{f"{facts}/{key}": text.encode() for key, text in metadata.items()}}
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{facts}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{facts}/RECORD"]))
    return wheel


@pytest.mark.slow
def test_packages_without_a_wheel_are_built_by_what_is_locked_alone(project: Project, tmp_path: Path) -> None:
    """From a folder of packages, without a network; pip by itself would take the newest setuptools, without a hash."""
    packages, unpacked = tmp_path / "packages", tmp_path / "old-1.0"
    packages.mkdir()
    unpacked.mkdir()
    (unpacked / "setup.py").touch()
    (unpacked / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: old\nVersion: 1.0\n")
    shutil.make_archive(str(packages / "old-1.0"), "gztar", tmp_path, "old-1.0")
    built = write_wheel(tmp_path, "old", "1.0", {"old.py": b""}).read_bytes()
    for version, backend in (("84.0", BACKEND.encode()), ("99.0", b"raise SystemExit('nobody locked this')")):
        contents = {"setuptools/__init__.py": b"", "setuptools/build_meta.py": backend}
        contents["setuptools/old-1.0-py3-none-any.whl"] = built
        write_wheel(packages, "setuptools", version, contents)
    for lock, pin, file in (
        ("requirements.lock", "old==1.0", "old-1.0.tar.gz"),
        ("envs/build.lock", "setuptools==84.0", "setuptools-84.0-py3-none-any.whl"),
    ):
        digest = hashlib.sha256((packages / file).read_bytes()).hexdigest()
        (project.root / lock).write_text(f"{pin} --hash=sha256:{digest}\n")
    environment = project.environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(packages))
    done = subprocess.run(project.command("status"), env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert (project.venv / "requirements.lock.stamp").exists(), done.stderr  # the command itself lacks its packages
    assert [*project.venv.glob("lib/python3.*/site-packages/old.py")]


@pytest.mark.slow
def test_a_failed_install_prints_what_to_do_and_writes_no_stamp(project: Project) -> None:
    (project.root / "requirements.lock").write_text("no-such-package==1.0 --hash=sha256:" + 64 * "0" + "\n")
    done = project.with_uv().run("--version", UV_FAILS="1", PIP_NO_INDEX="1")
    assert done.returncode == 2
    assert "uv failed at `venv --quiet`: trying venv and pip" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("run: pip could not install build.lock (see above): ")
    assert re.search("check the network|has to compile a package", last)  # the latter: 3.14 without gcc
    assert not list(project.venv.glob("*.stamp"))


@pytest.mark.parametrize("minor", [13, 14])
def test_a_failed_install_names_the_compiler_where_a_python_needs_one_and_there_is_none(
    minor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler -O2")
    asks_for_a_compiler = "python3-dev" in cause_of_failure(Path(), minor)
    assert asks_for_a_compiler == (minor == 14)  # 3.14: immutables has wheels for Python 3.8 to 3.13


def test_a_failed_install_names_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "full" not in cause_of_failure(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))  # type: ignore[attr-defined]
    assert cause_of_failure(tmp_path) == f"the disk of {tmp_path} is full, and the environment takes 0.65 GB: make room"


# ---- Arguments and environment variables


def test_arguments_reach_snakemake_unchanged_and_the_printed_command_is_quoted(project: Project) -> None:
    arguments = ["--cores", "8", "--configfile", "my site.yaml", "--config", "x=$(rm -rf)"]
    (project.root / "my site.yaml").write_text("source: x\n")
    done = project.with_environment().run(*arguments, SNAKEMAKE_EXITS="7")
    (call,) = project.called("snakemake")
    assert done.returncode == 7
    assert call["arguments"] == arguments
    assert call["cwd"] == str(project.root)
    assert shlex.split(done.stderr.removeprefix("+ ")) == ["snakemake", *arguments]
    assert done.stdout == ""


def test_from_another_folder_the_command_names_the_snakefile(project: Project) -> None:
    project.with_environment().run("--quiet", cwd=project.elsewhere)
    (call,) = project.called("snakemake")
    assert call["arguments"] == ["--snakefile", str(project.root / "Snakefile"), "--cores", "all", "--quiet"]
    assert call["cwd"] == str(project.elsewhere)


@pytest.mark.parametrize(
    ("arguments", "added"),
    [
        ([], True),
        (["--configfile", "my.yaml"], True),
        (["seal_dataset", "--forcerun", "x"], True),
        (["--cores", "2"], False),
        (["--cores=2"], False),
        (["-c2"], False),
        (["-j", "2"], False),
        (["-np"], False),
        (["--profile", "slurm"], False),
        (["--help"], False),
        (["--unlock"], False),
    ],
)
def test_cores_are_added_if_none_are_given(arguments: list[str], added: bool) -> None:
    command = snakemake_command(arguments, ROOT)
    assert command == ["snakemake", *(["--cores", "all"] if added else []), *arguments]


def test_targets_come_before_the_option_that_would_take_them_as_values() -> None:
    arguments = ["--cores", "2", "--configfile", "my.yaml", "export_png", "export_npz"]
    command = snakemake_command(arguments, ROOT)
    assert command == ["snakemake", "export_png", "export_npz", "--cores", "2", "--configfile", "my.yaml"]
    assert {kind.rule for kind in export_record.KINDS} | {"publish"} == set(TARGETS)


def test_snakemake_gets_the_environment_and_no_packages_of_the_user(project: Project) -> None:
    project.with_environment().run("-n", PYTHONPATH="/theirs", PYTHONDONTWRITEBYTECODE="1")
    (call,) = project.called("snakemake")
    env = call["env"]
    assert isinstance(env, dict)
    assert env["PATH"].split(os.pathsep)[0] == str(project.venv / "bin")
    assert (env["PYTHONPATH"], env["PYTHONDONTWRITEBYTECODE"], env["PYTHONNOUSERSITE"]) == (None, None, "1")


# ---- Commands


def test_the_demo_writes_its_files_once(project: Project) -> None:
    project.with_environment()
    first, again = project.run("demo"), project.run("demo", "-n", cwd=project.elsewhere)
    assert (first.returncode, again.returncode) == (0, 0)
    assert len(project.called("python")) == 1
    assert [call["arguments"] for call in project.called("snakemake")] == [
        ["--cores", "all", "--configfile", "demo/config.yaml"],
        ["--configfile", "demo/config.yaml", "-n"],
    ]
    assert {call["cwd"] for call in project.called("snakemake")} == {str(project.root)}


def test_a_failed_demo_returns_the_status_and_prints_no_table(project: Project) -> None:
    done = project.with_environment().run("demo", SNAKEMAKE_EXITS="3")
    assert (done.returncode, done.stdout) == (3, "")


# ---- Mistakes


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        pytest.param(["--coers", "2"], 2, "Snakemake has no option '--coers'; the closest is '--cores'", marks=PARSER),
        pytest.param(
            ["--source", "dicom"],
            2,
            "'--source' is a key of the configuration, no option: --config source=VALUE\n",
            marks=PARSER,
        ),
        pytest.param(["--burned-in=keep"], 2, "'--burned-in' is a key of the configuration", marks=PARSER),
        pytest.param(["--gate", "x"], 2, "'--gate' is a key of the configuration, no option: write it", marks=PARSER),
        pytest.param(["status", "--configfil", "x", "--repiar"], 1, "Snakemake has no option '--repiar'", marks=PARSER),
        (["--configfile", "my.yaml"], 2, "the configuration file 'my.yaml' does not exist"),
        (["demo", "--configfile=my.yaml"], 2, "the configuration file 'my.yaml' does not exist"),
        (["verify", "--cores", "2", "--configfile", "my.yaml"], 1, "the configuration file 'my.yaml' does not exist"),
        (["stauts", "--cores", "2"], 2, "there is no command or rule 'stauts'; the closest is 'status'"),
        (["check", "all"], 2, "./run check takes no arguments"),
    ],
)
def test_a_mistake_is_reported_in_one_line(project: Project, arguments: list[str], status: int, says: str) -> None:
    path = os.pathsep.join([str(project.bin), os.defpath])  # importing Snakemake looks for a shell
    done = project.with_environment().run(*arguments, PATH=path)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert done.stderr.startswith(f"run: {says}")
    assert not project.called("snakemake")


@pytest.mark.parametrize(
    "target",
    [
        "index_headers",
        "all",
        pytest.param("--cor=2", marks=PARSER),
        pytest.param("--cluster-generic-submit-cmd=sbatch", marks=PARSER),
    ],
)
def test_rules_abbreviations_and_options_of_plugins_are_accepted(project: Project, target: str) -> None:
    assert project.with_environment().run(target, "--cores", "2").returncode == 0
    assert project.called("snakemake")[0]["arguments"] == [target, "--cores", "2"]
