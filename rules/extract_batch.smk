rule extract_batch:
    input:
        contents=ancient("<results>/private/plans/contents.json"),
        plan="<results>/private/plans/{batch}.json",
    output:
        record="<results>/private/records/extract_batch/{batch}.json",
    log:
        "<results>/logs/extract_batch/{batch}.log",
    benchmark:
        "<results>/benchmarks/extract_batch/{batch}.tsv"
    priority: extraction_priority
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
        inventory=under_results("private/inventory.jsonl"),
        plan=plan_digest,
        compression=config["compression"],
        layout=config["layout"],
        levels=config["levels"],
        tolerance=config["spacing_tolerance"],
        cross_check=config["cross_check"],
        burned_in=config["burned_in"],
        faces=config["faces"],
        limits=config["limits"],
        software=software,
        code=code_digest("extract_batch.py", without="dicomzarr.burned_in"),
        allow_short=config["allow_short"] if config["burned_in"] == "scan" else 2,
        detector=detector_digest,
        decisions=decisions_digest,
    message:
        "Extracting the pixels of batch {wildcards.batch}"
    script:
        "../scripts/extract_batch.py"
