# From folders of DICOM files to a verified OME-Zarr dataset: the rules in order.
from snakemake.utils import min_version

min_version("9.27.1")


report: "report/workflow.rst"


include: "rules/common.smk"


pathvars:
    results=config["results"],


wildcard_constraints:
    batch=r"\d{4}-\d{4}",


include: "rules/discover_files.smk"
include: "rules/index_headers.smk"
include: "rules/plan_batches.smk"
include: "rules/extract_batch.smk"
include: "rules/check_batch.smk"
include: "rules/report_depth.smk"
include: "rules/report_size.smk"
include: "rules/join_labels.smk"
include: "rules/consolidate_dataset.smk"
include: "rules/render_report.smk"
include: "rules/write_cards.smk"
include: "rules/write_crate.smk"
include: "rules/check_privacy.smk"
include: "rules/seal_dataset.smk"
include: "rules/check_gate.smk"
include: "rules/export_png.smk"
include: "rules/export_npz.smk"
include: "rules/export_nifti.smk"
include: "rules/export_preview.smk"
include: "rules/export_nnunet.smk"
include: "rules/export_monai.smk"
include: "rules/publish.smk"


main_process.finish(workflow, started, rules)


onsuccess:
    end_without_waiting()


onerror:
    end_without_waiting()


# All records are inputs: Snakemake does not rebuild a missing intermediate file if the files made from it exist.
rule all:
    default_target: True
    input:
        "<results>/dataset/dataset.json",
        expand("<results>/private/records/{rule}.json", rule=DATASET_RULES),
        batch_records,
        label_record,
        gate_record,


# Targets for `--until extract_batch` and `--until check_batch`: the batches are known only after plan_batches. As above,
# with all records before.
rule all_extracted:
    input:
        expand("<results>/private/records/{rule}.json", rule=rules_before("extract_batch")),
        records_of("extract_batch"),


rule all_checked:
    input:
        expand("<results>/private/records/{rule}.json", rule=rules_before("check_batch")),
        batch_records,
