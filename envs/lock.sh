#!/usr/bin/env bash
# Write the lock files and the conda environment from pyproject.toml, with uv (docs.astral.sh/uv).
#   envs/lock.sh             after a change of a pin in pyproject.toml; other pins do not change
#   envs/lock.sh --upgrade   update all packages that pyproject.toml does not pin
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # one set of pins for all Pythons and platforms
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --fork-strategy fewest --no-header "$@" pyproject.toml
}
compile --group dev --output-file requirements-dev.lock "${@}"
compile --constraint requirements-dev.lock --output-file requirements.lock "${@}"
# The executor for Slurm without what is in the environment: a test holds that nothing is missing there.
uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-deps --group slurm \
    --output-file envs/slurm.lock "${@}"
# What builds the packages of requirements.lock that are no wheels: the name is no requirement of ours.
uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --output-file envs/build.lock "${@}" - <<<setuptools
# uv itself, with which CI makes the environment.
uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --output-file .ci/uv.lock "${@}" - <<<uv

{
    cat <<'END'
# The environment of every rule, for `snakemake --sdm conda`. Made by envs/lock.sh; a test holds it equal to the lock.
# The packages come as the wheels that ./run installs, not as conda's own builds: the same wheels give the same bytes.
# One Python, the oldest that the lock is made for, so that two sites with conda do not differ in anything.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python =3.11
  - pip
  - pip:
END
    sed -nE 's/^([a-z0-9][^\\]*[^\\ ]) *\\?$/      - \1/p' requirements.lock
} >envs/dicomzarr.yaml
