rule consolidate_dataset:
    input:
        inventory="<results>/private/inventory.jsonl",
        members="<results>/private/members.jsonl",
        index="<results>/private/headers.jsonl",
        unplaced_masks="<results>/private/plans/unplaced_masks.json",
        extracted=records_of("extract_batch"),
        checked=records_of("check_batch"),
        joined=joined_labels,
    output:
        volumes="<results>/dataset/volumes.csv",
        masks="<results>/dataset/masks.csv",
        outcomes=report(
            "<results>/dataset/reports/outcomes.csv",
            caption="../report/outcomes.rst",
            category="Accounts",
            labels={"content": "Files by outcome"},
        ),
        mask_outcomes=report(
            "<results>/dataset/reports/mask_files.csv",
            caption="../report/mask_files.rst",
            category="Accounts",
            labels={"content": "Mask files by outcome"},
        ),
        policy="<results>/dataset/reports/policy.csv",
        pictures="<results>/dataset/reports/pictures.csv",
        group="<results>/dataset/images.zarr/zarr.json",
        root="<results>/dataset/zarr.json",
        files="<results>/private/files.csv",
        frames="<results>/private/frames.csv",
        mask_files="<results>/private/mask_files.csv",
        mask_names="<results>/private/mask_names.csv",
        provenance="<results>/dataset/provenance/consolidate_dataset.json",
        record="<results>/private/records/consolidate_dataset.json",
    log:
        "<results>/logs/consolidate_dataset.log",
    benchmark:
        "<results>/benchmarks/consolidate_dataset.tsv"
    group:
        group_of("tables")
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=tables_megabytes,
        runtime=tables_minutes,
    params:
        results=under_results(""),
        batches=batch_names,
        labels=shown_settings.get("labels", []),
        splits=split_shares,
        expected_masks=sorted(config["masks"].get("expected", [])),
        code=code_digest("consolidate_dataset.py"),
    message:
        "Writing the tables of the dataset and of the source"
    script:
        "../scripts/consolidate_dataset.py"
