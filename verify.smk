# A flow of its own, so that asking never rebuilds: `./run verify`, or snakemake --snakefile verify.smk --cores 8.
from snakemake.utils import min_version

min_version("9.27.1")


configfile: workflow.source_path("config.yaml")


import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import prepare, settings as configuration, status
from dicomzarr.workflow.snakemake_quirks import end_on_signals, end_without_waiting

end_on_signals(workflow)

if workflow.is_main_process:
    try:
        prepare.make_way_for_snakemake()
        configuration.check_keys(config)
        status.hold(Path(config["results"]), alone="repair_dataset" in sys.argv)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1)

config.pop("source", None)


pathvars:
    results=config["results"],
    logs=status.place_of_logs(Path(config["results"])),


onsuccess:
    end_without_waiting()


onerror:
    end_without_waiting()


# Read everything, change nothing.
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


# Read everything, and take back the records of what is damaged: the next run makes just that anew.
use rule verify_dataset as repair_dataset with:
    log:
        "<logs>/repair_dataset.log",
    params:
        results=lambda wildcards: config["results"],
        repair=True,
    message:
        "Reading every byte of the dataset, to schedule repairs"
