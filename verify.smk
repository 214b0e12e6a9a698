# A workflow of its own, so that verification never rebuilds: ./run verify, or snakemake --snakefile verify.smk --cores 8
from snakemake.utils import min_version

min_version("9.27.1")


import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(str(workflow.current_basedir)) / "scripts"))

from dicomzarr.workflow import folders, main_process, settings, status
from dicomzarr.workflow.snakemake_quirks.ending import end_on_signals, end_without_waiting

end_on_signals(workflow)
config = settings.with_defaults(config)

if workflow.is_main_process:
    os.environ.pop("DICOMZARR_RUN", None)  # of a run whose job starts this: it is no job of that run
    with main_process.errors_in_one_line():
        folders.clear_paths_of_snakemake()
        settings.check_keys(config)
        status.lock(Path(config["results"]), exclusive="repair_dataset" in sys.argv)

config = main_process.without_places(config)


pathvars:
    results=config["results"],
    logs=status.log_folder(Path(config["results"])),


onsuccess:
    end_without_waiting()


onerror:
    end_without_waiting()


# Read every file of the dataset; read-only.
rule verify_dataset:
    default_target: True
    log:
        "<logs>/verify_dataset.log",
    conda:
        "envs/dicomzarr.yaml"
    threads: 16  # scaled down to the cores of the run
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        results=lambda wildcards: config["results"],
        repair=False,
    message:
        "Reading every byte of the dataset"
    script:
        "scripts/verify_dataset.py"


# Read every file of the dataset and delete the records of damaged files: the next run rebuilds only these.
use rule verify_dataset as repair_dataset with:
    log:
        "<logs>/repair_dataset.log",
    params:
        results=lambda wildcards: config["results"],
        repair=True,
    message:
        "Reading every byte of the dataset, and scheduling repairs"
