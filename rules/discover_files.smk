rule discover_files:
    input:
        inventory="<results>/private/inventory.jsonl",
    output:
        manifest="<results>/private/manifest.csv",
        provenance="<results>/dataset/provenance/discover_files.json",
        record="<results>/private/records/discover_files.json",
    log:
        "<results>/logs/discover_files.log",
    benchmark:
        "<results>/benchmarks/discover_files.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=60,
    params:
        code=code_digest("discover_files.py"),
    message:
        "Writing the manifest of all source files"
    script:
        "../scripts/discover_files.py"
