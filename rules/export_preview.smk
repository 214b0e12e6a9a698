# Made only when asked for: ./run --configfile my.yaml export_preview
rule export_preview:
    input:
        sealed="<results>/dataset/dataset.json",
        records=records_of_the_dataset,
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
        mem_mb=megabytes_of_export,
        runtime=1440,
    params:
        results=under_results(""),
        batches=planned_batches,
        level=config["export_level"],
        code=code_digest("export_preview.py"),
    message:
        "Exporting previews, which lose values"
    script:
        "../scripts/export_preview.py"
