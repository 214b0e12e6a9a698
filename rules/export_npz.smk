# Runs only as a target: ./run --configfile my.yaml export_npz
rule export_npz:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
    output:
        record="<results>/private/records/export_npz.json",
    log:
        "<results>/logs/export_npz.log",
    benchmark:
        "<results>/benchmarks/export_npz.tsv"
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
        code=code_digest("export_npz.py"),
    message:
        "Exporting NPZ archives"
    script:
        "../scripts/export_npz.py"
