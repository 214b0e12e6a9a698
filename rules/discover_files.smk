rule discover_files:
    input:
        inventory="<results>/private/inventory.jsonl",
    output:
        manifest="<results>/private/manifest.csv",
        members="<results>/private/members.jsonl",
        archives="<results>/private/archives.csv",
        provenance="<results>/dataset/provenance/discover_files.json",
        record="<results>/private/records/discover_files.json",
    log:
        "<results>/logs/discover_files.log",
    benchmark:
        "<results>/benchmarks/discover_files.tsv"
    group:
        group_of("index")
    conda:
        "../envs/dicomzarr.yaml"
    threads: threads_up_to(16)
    resources:
        mem_mb=index_megabytes,
        runtime=archive_minutes,
    params:
        archives=config["archives"],
        limits=config["limits"],
        cache=under_results("private/cache"),
        code=code_digest("discover_files.py"),
    message:
        "Writing the manifest of all source files and members of archives"
    script:
        "../scripts/discover_files.py"
