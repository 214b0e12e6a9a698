#!/usr/bin/env bash
# The steps of the Containerfile: make the environment beside this project, from hash-locked packages alone, and bytecode.
#   envs/container.sh        in a clean copy of the project; needs python3 with venv, and a package index
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DICOMZARR_VENV="$PWD/.venv"

./run snakemake --version # makes .venv from requirements.lock
.venv/bin/python -m pip install --quiet --no-deps --require-hashes --requirement profiles/kubernetes/requirements.txt
.venv/bin/python -m compileall -q scripts
.venv/bin/python -m pip check
chmod -R a+rX . # the image runs as a user of its own
