# Runs only as a target: ./run --configfile my.yaml export_nnunet
rule export_nnunet:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
    output:
        record="<results>/private/records/export_nnunet.json",
    log:
        "<results>/logs/export_nnunet.log",
    benchmark:
        "<results>/benchmarks/export_nnunet.tsv"
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
        allowed=config["gate"].get("nnunet_refused"),
        nnunet=config["nnunet"],
        code=code_digest("export_nnunet.py"),
    message:
        "Exporting a raw dataset for nnU-Net"
    script:
        "../scripts/export_nnunet.py"
