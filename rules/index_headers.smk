rule index_headers:
    input:
        inventory="<results>/private/inventory.jsonl",
        members="<results>/private/members.jsonl",
        manifest="<results>/private/manifest.csv",
    output:
        index="<results>/private/headers.jsonl",
        provenance="<results>/dataset/provenance/index_headers.json",
        record="<results>/private/records/index_headers.json",
    log:
        "<results>/logs/index_headers.log",
    benchmark:
        "<results>/benchmarks/index_headers.tsv"
    group:
        group_of("index")
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(16)
    resources:
        mem_mb=index_megabytes,
        runtime=index_minutes,
    params:
        limits=config["limits"],
        cache=under_results("private/cache"),
        code=code_digest("index_headers.py"),
    message:
        "Reading the headers of new and changed files"
    script:
        "../scripts/index_headers.py"
