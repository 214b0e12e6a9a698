rule report_depth:
    input:
        checked=records_of("check_batch"),
    output:
        report=report(
            "<results>/dataset/reports/depth.csv",
            caption="../report/depth.rst",
            category="Checks",
            labels={"content": "Depth of each array"},
        ),
        provenance="<results>/dataset/provenance/report_depth.json",
        record="<results>/private/records/report_depth.json",
    log:
        "<results>/logs/report_depth.log",
    benchmark:
        "<results>/benchmarks/report_depth.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        results=under_results(""),
        batches=batch_names,
        code=code_digest("report_depth.py"),
    message:
        "Gathering the depth verdicts of all arrays"
    script:
        "../scripts/report_depth.py"
