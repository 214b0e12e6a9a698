rule seal_dataset:
    input:
        consolidated="<results>/private/records/consolidate_dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=rules_before("check_privacy")),
        extracted=records_of("extract_batch"),
        checked=records_of("check_batch"),
        labels=label_record,
        searched="<results>/private/records/check_privacy.json",
    output:
        checksums="<results>/dataset/checksums",
        sealed="<results>/dataset/dataset.json",
        record="<results>/private/records/seal_dataset.json",
    log:
        "<results>/logs/seal_dataset.log",
    benchmark:
        "<results>/benchmarks/seal_dataset.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(16)
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        results=under_results(""),
        shown=shown_settings,
        detector=detector_digest,
        code=code_digest("seal_dataset.py"),
    message:
        "Sealing the dataset"
    script:
        "../scripts/seal_dataset.py"
