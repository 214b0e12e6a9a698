# Only if the configuration has labels, or splits from files.
rule join_labels:
    input:
        labels="<results>/private/labels/labels.json",
        plans=batch_plans,
        arrays="<results>/dataset/reports/depth.csv",
    output:
        joined="<results>/private/labels/joined.json",
        details="<results>/private/labels/details.csv",
        report="<results>/dataset/reports/labels.csv",
        provenance="<results>/dataset/provenance/join_labels.json",
        record="<results>/private/records/join_labels.json",
    log:
        "<results>/logs/join_labels.log",
    benchmark:
        "<results>/benchmarks/join_labels.tsv"
    group:
        group_of("tables")
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=tables_megabytes,
        runtime=tables_minutes,
    params:
        results=under_results(""),
        batches=batch_names,
        sources=label_sources,
        code=code_digest("join_labels.py"),
    message:
        "Joining labels with the series"
    script:
        "../scripts/join_labels.py"
