rule check_batch:
    input:
        contents=ancient("<results>/private/plans/contents.json"),
        extracted="<results>/private/records/extract_batch/{batch}.json",
    output:
        record="<results>/private/records/check_batch/{batch}.json",
    log:
        "<results>/logs/check_batch/{batch}.log",
    benchmark:
        "<results>/benchmarks/check_batch/{batch}.tsv"
    priority: check_priority
    group:
        group_of("batch")
    conda:
        "../envs/dicomzarr.yaml"
    threads: batch_threads
    resources:
        mem_mb=batch_megabytes,
        runtime=batch_minutes,
    params:
        results=under_results(""),
        pictures=config["report"]["pictures"],
        code=code_digest("check_batch.py"),
    message:
        "Reading back and drawing the arrays of batch {wildcards.batch}"
    script:
        "../scripts/check_batch.py"
