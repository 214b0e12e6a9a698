rule report_size:
    input:
        checked=records_of("check_batch"),
    output:
        report=report(
            "<results>/dataset/reports/size.csv",
            caption="../report/size.rst",
            category="Checks",
            labels={"content": "Size of each array"},
        ),
        provenance="<results>/dataset/provenance/report_size.json",
        record="<results>/private/records/report_size.json",
    log:
        "<results>/logs/report_size.log",
    benchmark:
        "<results>/benchmarks/report_size.tsv"
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
        code=code_digest("report_size.py"),
    message:
        "Gathering the size verdicts of all arrays"
    script:
        "../scripts/report_size.py"
