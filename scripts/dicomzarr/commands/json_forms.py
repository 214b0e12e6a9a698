"""The fields of what `--json` prints, for docs/commands.md; tests compare them with what the commands print."""

from __future__ import annotations

from dicomzarr.commands import mask_names, status

# By word, empty for a run: each field, with a dot for a field within another and [] for each item of a list, and its
# meaning.
FORMS: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("status", "the exit code"),
        ("complete", "whether the dataset is complete"),
        ("nothing_to_do", "whether everything was up to date"),
        ("stages[]", "what ran: `rule`, `jobs`, `failed` (jobs) and `seconds`"),
        ("failed[]", "jobs that failed: `rule`, `batch` (empty for a rule without batches) and `log`"),
        ("incomplete[]", "stages that are not complete: the rule and, of batches, how many are"),
        ("found", "entries of the source; this and what follows up to `gate` only if there is a dataset"),
        ("outcomes", "how many were `extracted`, `skipped`, `quarantined`, `ignored`"),
        ("set_aside[]", "`outcome`, `reason`, `files`, `meaning` and `remedy`, the most frequent reason first"),
        ("arrays", "number of arrays"),
        ("masks", "number of masks"),
        ("bytes_in", "bytes of the files of these arrays"),
        ("bytes_out", "bytes of the arrays"),
        ("findings[]", "what needs attention, as in the report: `level`, `title` and `advice`"),
        ("gate", "the counts that `gate` can limit, without zeros"),
        (
            "changes",
            "since the last build: arrays `added`, `grown`, `changed` (of these, `changed_pixels`), `retired`, "
            "`rewritten`, and keys of `counts`, `config` and `software` that differ; null without changes or without "
            "a last build",
        ),
        ("is_first_build", "whether there was no build to compare with"),
        ("results", "the results folder"),
        ("report", "the report page"),
        ("exports", "the folders of the exports that this run brought up to date, by rule"),
        ("seal", "the seal of the dataset"),
        ("log", "what Snakemake printed; empty without a run"),
        ("next", "the next step, as a command"),
    ),
    "status": (
        ("pending", "whether a run would do something"),
        ("reasons[].reason", "why: one of " + ", ".join(f"`{name}`" for name in status.LINES)),
        ("reasons[].count", "how many entries, files, records or jobs; where there is a number"),
        ("reasons[].rule", "the rule whose files, records or jobs are meant, if it is one"),
        ("reasons[].job", "of `job`: what the jobs do, in words"),
        ("reasons[].why", "of `job`: one of " + ", ".join(f"`{name}`" for name in status.CAUSES)),
        ("unnamed_masks.masks", "masks that have no name of the vocabulary"),
        ("unnamed_masks.labels", "different labels of these"),
        (
            "unnamed_masks.proposals[]",
            f"the {mask_names.MOST} most frequent ones: `label` (**may identify patients**), `name`, `pattern` and "
            "`masks`, as a line of `masks.names`",
        ),
    ),
    "retrieve": (
        ("status", "the exit code; with --dry-run this and `complete` are left out"),
        ("complete", "whether all that the list asks for is in the source"),
        ("lines", "lines of the list"),
        ("lines_without_match, lines_failed", "those of which the server has nothing; those at whose query it failed"),
        ("studies, series, instances", "what the server lists of it, and sent beside it"),
        ("retrieved, missing, refused, mismatch", "instances by outcome: docs/dicomweb.md"),
        ("to_retrieve", "instances that were not there before this run"),
        ("new, bytes", "files that this run added, and the bytes of all that it wrote"),
        ("changed, unchanged", "files that were retrieved once more, and differ or not"),
        ("grown_studies", "studies of earlier runs that have grown"),
        ("incomplete_series", "series of which something is missing"),
        ("duplicates, set_aside", "files that came twice; files that were not what was asked for"),
        ("left_over, left_over_bytes", "files that the list no longer asks for, or the server no longer has"),
        ("not_matching", "studies that the server named although they have other values than the list"),
    ),
    "verify": (
        ("good", "whether the dataset is finished and every file is as recorded"),
        ("files", "files read"),
        ("bytes", "bytes read"),
        ("findings[]", "pairs of `damaged`, `missing` or `surplus` and a path below `dataset/`; of exports and private "
         "files, below the results folder"),
        ("unfinished", "why the dataset is not finished; else empty"),
    ),
    "diff": (
        ("same_data", "whether the digests of the data are equal"),
        ("same_seal", "whether the seals are equal: data, provenance and report"),
        ("same_key", "whether both have the same pseudonym key; if not, volumes are matched by their pixels"),
        ("counts", "for each count that differs, `[old, new]`"),
        ("config", "for each key of the configuration that differs, `[old, new]`"),
        ("software", "for each version that differs, `[old, new]`"),
        ("volumes.added[]", "arrays that only NEW has; `volumes` is null if a volumes.csv is missing"),
        ("volumes.retired[]", "arrays that only OLD has"),
        ("volumes.grown", "arrays with more frames: for each, the columns of volumes.csv that differ, `[old, new]`"),
        ("volumes.changed", "other arrays that differ, likewise"),
        ("volumes.rewritten", "number of arrays of which only the stored size differs"),
    ),
    "files": (
        ("paths[].path", "relative to the source, written as in `private/files.csv`: percent-encoded where needed"),
        ("paths[].outcome", "`extracted`, `skipped`, `quarantined` or `ignored`"),
        ("paths[].reason", "the reason code; empty if extracted"),
        ("files", "how many files these are; without --reason, --outcome and --array, all, and there are no `paths`"),
        ("outcomes[]", "`outcome`, `reason` and `files`: how many of them"),
    ),
}  # fmt: skip
