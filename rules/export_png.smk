# Runs only as a target: ./run --configfile my.yaml export_png
rule export_png:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
    output:
        record="<results>/private/records/export_png.json",
    log:
        "<results>/logs/export_png.log",
    benchmark:
        "<results>/benchmarks/export_png.tsv"
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
        allowed=config["gate"].get("png_refused"),
        code=code_digest("export_png.py"),
    message:
        "Exporting lossless PNG"
    script:
        "../scripts/export_png.py"
