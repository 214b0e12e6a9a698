# Made only when asked for: ./run --configfile my.yaml export_png
rule export_png:
    input:
        sealed="<results>/dataset/dataset.json",
        records=records_of_the_dataset,
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
        mem_mb=megabytes_of_export,
        runtime=1440,
    params:
        results=under_results(""),
        batches=planned_batches,
        level=config["export_level"],
        allowed=config["gate"].get("png_refused"),
        code=code_digest("export_png.py"),
    message:
        "Exporting lossless PNG"
    script:
        "../scripts/export_png.py"
