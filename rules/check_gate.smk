# Only if the configuration has a gate; the dataset is sealed before.
rule check_gate:
    input:
        sealed="<results>/dataset/dataset.json",
    output:
        record="<results>/private/records/check_gate.json",
    log:
        "<results>/logs/check_gate.log",
    benchmark:
        "<results>/benchmarks/check_gate.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        results=under_results(""),
        allowed=dataset_gate,
        code=code_digest("check_gate.py"),
    message:
        "Comparing the findings with the gate"
    script:
        "../scripts/check_gate.py"
