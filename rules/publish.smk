# Runs only as a target: ./run publish --configfile my.yaml. On the machine that starts the run, which has the credentials.
rule publish:
    input:
        sealed="<results>/dataset/dataset.json",
        records=expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batches=batch_records,
        labels=label_record,
        gate=gate_record,
    output:
        record="<results>/private/records/publish.json",
    log:
        "<results>/logs/publish.log",
    benchmark:
        "<results>/benchmarks/publish.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        results=under_results(""),
        target=publish_digest,
        signature=signature_digest,
        code=code_digest("publish.py"),
    message:
        "Publishing the dataset"
    script:
        "../scripts/publish.py"
