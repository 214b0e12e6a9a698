# Before the seal: a dataset with a leak is never sealed. The launcher searches files that are written later.
rule check_privacy:
    input:
        consolidated="<results>/private/records/consolidate_dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=rules_before("check_privacy")),
        batches=batch_records,
        labels=label_record,
        card="<results>/private/card.json",
    output:
        provenance="<results>/dataset/provenance/check_privacy.json",
        record="<results>/private/records/check_privacy.json",
    log:
        "<results>/logs/check_privacy.log",
    benchmark:
        "<results>/benchmarks/check_privacy.tsv"
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(16)
    resources:
        mem_mb=tables_megabytes,
        runtime=tables_minutes,
    params:
        results=under_results(""),
        level=config["check_privacy"],
        chosen=shown_config.words(config),
        code=code_digest("check_privacy.py"),
    message:
        "Searching for identities outside the private folder"
    script:
        "../scripts/check_privacy.py"
