# Made only when asked for: ./run --configfile my.yaml export_npz
rule export_npz:
    input:
        sealed="<results>/dataset/dataset.json",
        records=records_of_the_dataset,
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
        mem_mb=megabytes_of_export,
        runtime=1440,
    params:
        results=under_results(""),
        batches=planned_batches,
        level=config["export_level"],
        code=code_digest("export_npz.py"),
    message:
        "Exporting NPZ archives"
    script:
        "../scripts/export_npz.py"
