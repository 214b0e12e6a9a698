# Runs only as a target: ./run --configfile my.yaml export_preview
rule export_preview:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
    output:
        record="<results>/private/records/export_preview.json",
    log:
        "<results>/logs/export_preview.log",
    benchmark:
        "<results>/benchmarks/export_preview.tsv"
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(64)
    resources:
        mem_mb=export_megabytes,
        runtime=1440,
    params:
        results=under_results(""),
        batches=batch_names,
        level=config["export_level"],
        code=code_digest("export_preview.py"),
    message:
        "Exporting lossy previews"
    script:
        "../scripts/export_preview.py"
