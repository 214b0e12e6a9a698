checkpoint plan_batches:
    input:
        index="<results>/private/headers.jsonl",
    output:
        contents="<results>/private/plans/contents.json",
        masks="<results>/private/plans/unplaced_masks.json",
        provenance="<results>/dataset/provenance/plan_batches.json",
        record="<results>/private/records/plan_batches.json",
    log:
        "<results>/logs/plan_batches.log",
    benchmark:
        "<results>/benchmarks/plan_batches.tsv"
    group:
        group_of("index")
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(16)
    resources:
        mem_mb=index_megabytes,
        runtime=tables_minutes,
    params:
        results=under_results(""),
        batch=config["batch"],
        code=code_digest("plan_batches.py"),
    message:
        "Grouping files into series and series into batches"
    script:
        "../scripts/plan_batches.py"
