"""What the extraction of one series needs: its plan, where to read and write, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.system.thread_pool import SERIAL, ThreadPool


@dataclass(frozen=True, slots=True)
class Extraction:
    """The extraction of one series.

    Attributes
    ----------
    plan : SeriesPlan
    store : Path
        The folder to write, with one folder for each volume; emptied first. Pictures of text lie beside it.
    roots : Roots
        The source folders.
    pseudonyms : Pseudonyms
        Computes the ids of volumes.
    options : Options
    pool : ThreadPool
        Its threads decode and compress.
    """

    plan: SeriesPlan
    store: Path
    roots: Roots
    pseudonyms: Pseudonyms
    options: Options
    pool: ThreadPool = SERIAL
