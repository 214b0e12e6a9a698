rule render_report:
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
    output:
        report=report(
            "<results>/dataset/reports/report.html",
            caption="../report/render_report.rst",
            category="Report",
            labels={"content": "The dataset"},
        ),
        provenance="<results>/dataset/provenance/render_report.json",
        record="<results>/private/records/render_report.json",
    log:
        "<results>/logs/render_report.log",
    benchmark:
        "<results>/benchmarks/render_report.tsv"
    localrule: True
    conda:
        "../envs/dicomzarr.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=under_results("dataset"),
        small_cells=config["small_cells"],
        splits=splits_with_share,
        code=code_digest("render_report.py"),
    message:
        "Rendering the report"
    script:
        "../scripts/render_report.py"
