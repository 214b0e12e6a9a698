"""The same pins in pyproject.toml, both lock files and the conda environment, which all rules name."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from conftest import ROOT


def requirements_of(lock: str) -> list[str]:
    """Return the requirements of a lock file, with version and marker; a package may have one for each Python."""
    return re.findall(r"^([A-Za-z0-9].*?) *\\$", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)


def pins_of(lock: str) -> dict[str, str]:
    """Return {package: requirement with version and marker} of a lock file."""
    return {requirement.split("==")[0]: requirement for requirement in requirements_of(lock)}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_has_an_exact_version_and_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(requirements_of(lock)) > 50
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


def test_what_builds_packages_without_a_wheel_is_locked_by_hash() -> None:
    text = (ROOT / "envs" / "build.lock").read_text(encoding="utf-8")
    assert list(pins_of("envs/build.lock")) == ["setuptools"] and "--hash=sha256:" in text


def test_direct_dependencies_are_locked_as_pyproject_pins_them() -> None:
    tables = project()
    plain = {name: pin.split(" ")[0] for name, pin in pins_of("requirements.lock").items()}
    dev = {requirement.split(" ")[0] for requirement in requirements_of("requirements-dev.lock")}
    for requirement in tables["project"]["dependencies"]:  # type: ignore[index]
        assert plain[requirement.split("==")[0].lower()] == requirement.lower()
    for requirement in tables["dependency-groups"]["dev"]:  # type: ignore[index]
        pin = re.sub(r"\[\w+\]", "", requirement.split(";")[0]).lower()  # the lock has no extras, but what they need
        assert pin in dev


def test_the_executor_for_slurm_is_locked_beside_the_environment() -> None:
    pins = [requirement.split(" ")[0] for requirement in pins_of("envs/slurm.lock").values()]
    assert pins == project()["dependency-groups"]["slurm"]  # type: ignore[index]
    assert "--hash=sha256:" in (ROOT / "envs" / "slurm.lock").read_text(encoding="utf-8")
    assert not {*pins} & {*map(str.strip, pins_of("requirements-dev.lock").values())}


def test_dev_lock_holds_the_plain_lock_version_for_version() -> None:
    plain, dev = pins_of("requirements.lock"), pins_of("requirements-dev.lock")
    versions = {name: pin.partition(" ")[0] for name, pin in plain.items()}
    assert {name: dev.get(name, "").partition(" ")[0] for name in plain} == versions
    # A package of the tests may need one on more platforms: then it has no condition there.
    assert all(dev[name] in (pin, versions[name]) for name, pin in plain.items())


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("training", {"torch", "monai", "torchio", "urllib3", "fsspec", "aiohttp"}),
        ("reading", {"torch", "blosc2", "medh5"}),
    ],
)
def test_the_environments_for_training_and_its_benchmark_have_the_same_pins(name: str, own: set[str]) -> None:
    lines = (ROOT / "envs" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.split("==")[0]: line for line in lines if not line.startswith("#")}
    assert own <= set(pins) and all("==" in pin for pin in pins.values())
    dev = {name: pin.split(" ")[0] for name, pin in pins_of("requirements-dev.lock").items()}
    shared = set(pins) & set(dev)
    assert {name: pins[name] for name in shared} == {name: dev[name] for name in shared} and len(shared) > 5


def test_conda_environment_equals_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "dicomzarr.yaml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, pinned = environment["dependencies"]
    assert re.fullmatch(r"python =3\.\d+", python)
    assert pip == "pip"
    assert pinned == {"pip": list(pins_of("requirements.lock").values())}, "run envs/lock.sh"


def test_every_rule_with_a_script_names_the_environment() -> None:
    rules = [
        rule
        for path in sorted([ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
        if path.exists()
        for rule in re.split(r"^(?=(?:rule|checkpoint) )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    ]
    if not rules:
        pytest.skip("no rules")
    for rule in rules:
        if re.search(r"^    script:", rule, flags=re.MULTILINE):
            assert re.search(r'^    conda:\s+"\.\./envs/dicomzarr\.yaml"', rule, flags=re.MULTILINE), rule


def test_launcher_and_pyproject_agree_on_python() -> None:
    text = (ROOT / "run").read_text(encoding="utf-8")
    assert "OLDEST, NEWEST = (3, 11), (3, 14)" in text
    assert project()["project"]["requires-python"] == ">=3.11,<3.15"  # type: ignore[index]


def test_the_environment_of_the_text_networks_is_locked_with_the_same_pins() -> None:
    """`envs/text_network.lock` holds what `envs/text_network.in` asks for, by hash, in the versions of our own lock."""
    lines = (ROOT / "envs" / "text_network.in").read_text(encoding="utf-8").splitlines()
    asked = {line.split(" ")[0] for line in lines if line and not line.startswith("#")}
    locked = {name: pin.split(" ")[0] for name, pin in pins_of("envs/text_network.lock").items()}
    assert asked <= {*locked.values()}
    text = (ROOT / "envs" / "text_network.lock").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked) and all("--hash=sha256:" in block for block in blocks)
    dev = {name: pin.split(" ")[0] for name, pin in pins_of("requirements-dev.lock").items()}
    shared = set(locked) & set(dev)
    assert {name: locked[name] for name in shared} == {name: dev[name] for name in shared} and len(shared) > 10
