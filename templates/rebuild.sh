#!/usr/bin/env bash
# Rebuild a dataset after its source changed, check it, compare it with the last release, and release it.
#
# The templates for GitHub, GitLab and cron in this folder call this script in your own private repository, the folder
# with your configuration; docs/operations.md has the whole. It can be started again at any point: steps that are done
# have nothing to do. Settings are environment variables:
#
#   CONFIG            configuration file (my.yaml)
#   RESULTS           the results folder that the configuration names (results)
#   CORES             processor cores (all)
#   RELEASED          folder for the tables of the last release, which `./run diff` compares with (released)
#   REPORTS           folder for what people look at: the report page, and what was found and changed (rebuild)
#   ALLOW             what a release may do beside adding and growing volumes: any of retired, changed, key (nothing)
#   RETRIEVE          1: first retrieve what the PACS has, as `dicomweb` of the configuration says (no)
#   SIGN_KEY          a key of OpenSSH that signs the release (it is not signed)
#   PUBLISH           1: publish to the storage that the configuration names (no)
#   PUSH_TO, BRANCH   git remote and branch that get the commit and the tag of a release (none; main)
#   STATE             archive of the results folder, for a runner that keeps no files between jobs (none)
#   STATE_PASSPHRASE  encrypts that archive, with gpg (it is not encrypted)
#   DICOMZARR_KEY     the pseudonym key, as a secret; without it the key is in RESULTS/private/key
#
# RESULTS/private and STATE IDENTIFY PATIENTS, and hold the key if DICOMZARR_KEY is not set. Use a private runner, in a
# private repository; keep both on an encrypted disk, or set STATE_PASSPHRASE; never upload them as an artifact, or to a
# cache that others can read. Only REPORTS and RELEASED are for artifacts and commits, and whether these may leave your
# site is for your data protection officer to decide.
#
# Exit status: 0 released, or nothing to do; 3 the gate refused the release; any other: the step named last failed.

set -euo pipefail

run="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/run"
config=${CONFIG:-my.yaml} results=${RESULTS:-results} cores=${CORES:-all}
released=${RELEASED:-released} reports=${REPORTS:-rebuild} state=${STATE:-}
work=$(mktemp -d)

say() { printf '== %s\n' "$*"; }

# gpg starts a daemon, which ends with the folder of its own that it gets here.
encrypt() {
    [ -d "$work/gpg" ] || mkdir -m 700 "$work/gpg"
    GNUPGHOME=$work/gpg gpg --batch --quiet --pinentry-mode loopback --no-symkey-cache "$@"
}

restore() {
    say "restore state"
    rm -rf .restore.partial
    mkdir .restore.partial
    if [ -n "${STATE_PASSPHRASE:-}" ]; then
        encrypt --passphrase-fd 3 --decrypt "$state" 3<<<"$STATE_PASSPHRASE" | tar -xpf - -C .restore.partial
    else
        tar -xpf "$state" -C .restore.partial
    fi
    rm -rf .snakemake
    if [ -d .restore.partial/.snakemake ]; then mv .restore.partial/.snakemake .; fi
    mv ".restore.partial/$results" "$results" # last: its presence means that the state is restored
}

save() {
    say "save state"
    local folders=("$results")
    [ ! -d .snakemake ] || folders+=(.snakemake)
    umask 077
    rm -f "$state.partial"
    if [ -n "${STATE_PASSPHRASE:-}" ]; then
        tar -cf - "${folders[@]}" | encrypt --passphrase-fd 3 --symmetric --cipher-algo AES256 --compress-algo none \
            --s2k-count 65011712 --output "$state.partial" 3<<<"$STATE_PASSPHRASE"
    else
        tar -cf "$state.partial" "${folders[@]}"
    fi && mv "$state.partial" "$state" # whole or not at all
}

# What was extracted is kept even if a later step fails.
finish() {
    local status=$?
    trap - EXIT
    if [ -n "$state" ] && [ -d "$results/private" ]; then
        save || status=1
    fi
    if [ -d "$work/gpg" ]; then GNUPGHOME=$work/gpg gpgconf --kill gpg-agent || true; fi
    rm -rf "$work" .restore.partial
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# Run a command whose exit status, if it is not 0, is an answer: keep it in `code`, and end at any other failure.
answer() {
    local expected=$1
    shift
    code=0
    "$@" || code=$?
    [ "$code" = 0 ] || [ "$code" = "$expected" ] || exit "$code"
}

# Commit and tag the tables of the release, where the current folder is a git repository; nothing if that is done.
record() {
    git rev-parse --is-inside-work-tree >"$work/git" 2>&1 || return 0
    local seal tag changes
    seal=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["seal"][:12])' <"$released/dataset.json")
    tag=dataset-$seal
    git config user.name >"$work/git" || git config user.name dicomzarr
    git config user.email >"$work/git" || git config user.email dicomzarr@localhost
    git add -- "$released"
    changes=$(<"$released/changes.txt")
    git diff --cached --quiet -- "$released" || git commit --quiet -m "Dataset $seal" -m "$changes" -- "$released"
    git rev-parse --verify --quiet "refs/tags/$tag" >"$work/git" || git tag -a "$tag" -m "$changes"
    [ -z "${PUSH_TO:-}" ] || git push --quiet --atomic "$PUSH_TO" "HEAD:refs/heads/${BRANCH:-main}" "refs/tags/$tag"
    say "released $tag: $changes"
}

if [ -n "$state" ] && [ ! -d "$results" ] && [ -f "$state" ]; then restore; fi
if [ ! -d "$results/private" ] && [ -f "$released/dataset.json" ] && [ -z "${DICOMZARR_KEY:-}" ]; then
    say "there was a release, but $results and the key are missing: restore them, since a new key changes all ids" >&2
    exit 1
fi
rm -rf "$reports"
mkdir -p "$reports"

if [ "${RETRIEVE:-}" = 1 ]; then
    say "retrieve"
    "$run" retrieve --configfile "$config"
fi

say "status"
# Proposals for names of masks hold labels of the source: they stay here.
answer 2 "$run" status --json --configfile "$config" >"$work/status.json"
python3 - "$work/status.json" >"$reports/status.json" <<'PYTHON'
import json, sys
status = json.load(open(sys.argv[1]))
print(json.dumps({name: status[name] for name in ("pending", "reasons")}))
PYTHON
if [ "$code" = 0 ] && cmp -s "$results/dataset/dataset.json" "$released/dataset.json"; then
    say "nothing to do since the last release"
    record
    exit 0
fi

say "run"
"$run" --json --cores "$cores" --configfile "$config" >"$reports/run.json"
if [ ! "$(python3 -c 'import json, os, sys; print(os.path.realpath(json.load(sys.stdin)["results"]))' \
    <"$reports/run.json")" -ef "$results" ]; then
    say "RESULTS is $results, but $config names another folder" >&2
    exit 1
fi
cp "$results/dataset/reports/report.html" "$reports/"

say "verify"
"$run" verify --json --cores "$cores" --configfile "$config" >"$reports/verify.json"

changes="first release"
if [ -f "$released/dataset.json" ]; then
    say "diff"
    answer 1 "$run" diff --json "$released" "$results" >"$reports/diff.json"
    answer 1 "$run" diff "$released" "$results" | tee "$reports/diff.txt"
    say "gate"
    changes=$(python3 - "$reports/diff.json" "${ALLOW:-}" <<'PYTHON'
import json, sys
difference, allowed = json.load(open(sys.argv[1])), sys.argv[2].replace(",", " ").split()
volumes = difference["volumes"]
found = [kind for kind in ("retired", "changed") if volumes[kind]] + ["key"] * (not difference["same_key"])
refused = [kind for kind in found if kind not in allowed]
if refused:
    print(f"== refused, see diff.txt; to release it nevertheless: ALLOW={','.join(found)}", file=sys.stderr)
    sys.exit(3)
print(", ".join(f"{len(volumes[kind])} {kind}" for kind in ("added", "grown", "changed", "retired")))
PYTHON
    )
fi

if [ -n "${SIGN_KEY:-}" ]; then
    say "sign"
    "$run" sign "$SIGN_KEY" --configfile "$config" >"$reports/allowed_signers"
fi
if [ "${PUBLISH:-}" = 1 ]; then
    say "publish"
    "$run" publish --cores "$cores" --configfile "$config"
fi

say "release"
mkdir -p "$released"
echo "$changes" >"$released/changes.txt"
for table in volumes.csv masks.csv dataset.json; do # dataset.json last: the release is complete
    cp "$results/dataset/$table" "$released/$table.partial"
    mv "$released/$table.partial" "$released/$table"
done
record
