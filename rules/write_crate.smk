# After all other files of the dataset, whose digests it holds, and before they are searched and sealed.
rule write_crate:
    input:
        records=expand("<results>/private/records/{rule}.json", rule=rules_before("write_crate")),
        labels=label_record,
        card="<results>/private/card.json",
    output:
        crate="<results>/dataset/ro-crate-metadata.json",
        snakefile="<results>/dataset/provenance/Snakefile",
        provenance="<results>/dataset/provenance/write_crate.json",
        record="<results>/private/records/write_crate.json",
    log:
        "<results>/logs/write_crate.log",
    benchmark:
        "<results>/benchmarks/write_crate.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        results=under_results(""),
        shown=shown_settings,
        snakefile=snakefile_digest,
        code=code_digest("write_crate.py"),
    message:
        "Describing the dataset and its run as an RO-Crate"
    script:
        "../scripts/write_crate.py"
