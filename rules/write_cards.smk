rule write_cards:
    input:
        volumes="<results>/dataset/volumes.csv",
        masks="<results>/dataset/masks.csv",
        depths="<results>/dataset/reports/depth.csv",
        sizes="<results>/dataset/reports/size.csv",
        outcomes="<results>/dataset/reports/outcomes.csv",
        mask_outcomes="<results>/dataset/reports/mask_files.csv",
        policy="<results>/dataset/reports/policy.csv",
        pictures="<results>/dataset/reports/pictures.csv",
        labels=label_report,
        card="<results>/private/card.json",
    output:
        croissant="<results>/dataset/croissant.json",
        data_package="<results>/dataset/datapackage.json",
        dataset_card="<results>/dataset/DATASET_CARD.md",
        citation="<results>/dataset/CITATION.cff",
        provenance="<results>/dataset/provenance/write_cards.json",
        record="<results>/private/records/write_cards.json",
    log:
        "<results>/logs/write_cards.log",
    benchmark:
        "<results>/benchmarks/write_cards.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=under_results("dataset"),
        vocabularies=vocabularies,
        policy=card_policy,
        code=code_digest("write_cards.py"),
    message:
        "Writing the cards"
    script:
        "../scripts/write_cards.py"
