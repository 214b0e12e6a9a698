# Runs only as a target: ./run --configfile my.yaml export_monai
rule export_monai:
    input:
        sealed="<results>/dataset/dataset.json",
        nnunet="<results>/private/records/export_nnunet.json",
    output:
        record="<results>/private/records/export_monai.json",
    log:
        "<results>/logs/export_monai.log",
    benchmark:
        "<results>/benchmarks/export_monai.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        results=under_results(""),
        nnunet=config["nnunet"],
        code=code_digest("export_monai.py"),
    message:
        "Exporting a datalist for MONAI"
    script:
        "../scripts/export_monai.py"
