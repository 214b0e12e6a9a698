# Runs only as a target: ./run --configfile my.yaml export_nifti
rule export_nifti:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
    output:
        record="<results>/private/records/export_nifti.json",
    log:
        "<results>/logs/export_nifti.log",
    benchmark:
        "<results>/benchmarks/export_nifti.tsv"
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
        allowed=config["gate"].get("nifti_refused"),
        code=code_digest("export_nifti.py"),
    message:
        "Exporting NIfTI volumes"
    script:
        "../scripts/export_nifti.py"
