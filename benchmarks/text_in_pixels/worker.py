"""Run another tool on a folder of frames, in the environment of that tool; imports nothing of this project.

    python worker.py TOOL FOLDER SECONDS

FOLDER has `index.jsonl`, a line for each frame: `file` (.npy), `script`, and the `text` that stands in the header.
Writes FOLDER/TOOL.jsonl, a line for each frame until SECONDS have passed: `boxes` (top, left, bottom, right) and `cpu`
seconds, those of child processes included; then FOLDER/TOOL.version.
"""

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

# The language of the text is told to Tesseract, which is in its favour; Arabic digits come with Arabic.
LANGUAGES = {
    "Latin with accents": "eng+deu",
    "Cyrillic": "rus",
    "Greek": "ell",
    "Chinese": "chi_sim",
    "Japanese": "jpn",
    "Korean": "kor",
    "Arabic digits": "ara",
}
FEWER = ("Chinese", "Japanese", "Korean")  # words of two characters count
NOBODY = "Quillfeather^Zora"  # in the header of an image without text


def grey(frame):
    """Return a frame as 8 bits from its lowest to its highest value; colours stay."""
    values = frame.astype(np.float64)
    values = (values - values.min()) * (255 / (np.ptp(values) or 1))
    return values.round().astype(np.uint8)


def tesseract():
    """Words of three characters or more with a confidence above 60, at once and twice the size."""
    import pytesseract
    from PIL import Image

    def look(frame, script, text):
        image, boxes = Image.fromarray(grey(frame)), []
        for scale in (1, 2):
            larger = (
                image if scale == 1 else image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)
            )
            read = pytesseract.image_to_data(
                larger,
                lang=LANGUAGES.get(script, "eng"),
                config="--psm 11",  # sparse text in no order
                output_type=pytesseract.Output.DICT,
            )
            for number, word in enumerate(read["text"]):
                enough = sum(character.isalnum() for character in word) >= (2 if script in FEWER else 3)
                if enough and float(read["conf"][number]) > 60:
                    top, left = read["top"][number], read["left"][number]
                    edges = top, left, top + read["height"][number], left + read["width"][number]
                    boxes.append([edge // scale for edge in edges])
        return boxes

    return look, f"{pytesseract.get_tesseract_version()}".splitlines()[0]


def dentdeid():
    """Regions of text, on the views that its DICOM pipeline looks at; scales are no finding."""
    from dentdeid.dicom.pixels import PixelData, detection_views
    from dentdeid.imaging.textdetect import detect_text, image_class, merge_regions
    from pydicom.dataset import Dataset

    def look(frame, script, text):
        pixels = PixelData(frame, 1, "RGB" if frame.ndim == 3 else "MONOCHROME2", frame.ndim == 3)
        views = detection_views(frame, pixels, Dataset())
        colours = image_class(views[0]) != "radiograph"
        found = merge_regions([region for view in views for region in detect_text(view, None, force_color=colours)])
        return [[region.y0, region.x0, region.y1, region.x1] for region in found if region.kind == "text"]

    return look, version("dentdeid")


def presidio():
    """Boxes of its DICOM engine, which knows the text from the header; without a model of a language."""
    import tempfile

    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_image_redactor import DicomImageRedactorEngine, ImageAnalyzerEngine
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    model = tempfile.mkdtemp()
    spacy.blank("en").to_disk(model)
    models = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
    nlp = NlpEngineProvider(nlp_configuration=models).create_engine()
    engine = DicomImageRedactorEngine(image_analyzer_engine=ImageAnalyzerEngine(AnalyzerEngine(nlp_engine=nlp)))

    def look(frame, script, text):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=["made up"])
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = text or NOBODY
        dataset.Modality = "OT"
        dataset.Rows, dataset.Columns = frame.shape[:2]
        dataset.SamplesPerPixel = 3 if frame.ndim == 3 else 1
        dataset.PhotometricInterpretation = "RGB" if frame.ndim == 3 else "MONOCHROME2"
        if frame.ndim == 3:
            dataset.PlanarConfiguration = 0
        bits = frame.dtype.itemsize * 8
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
        dataset.PixelRepresentation = int(frame.dtype.kind == "i")
        dataset.PixelData = frame.tobytes() + b"\0" * (frame.nbytes % 2)
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
        language = {"lang": LANGUAGES.get(script, "eng")}
        _, boxes = engine.redact_and_return_bbox(dataset, use_metadata=True, ocr_kwargs=language)
        return [[box["top"], box["left"], box["top"] + box["height"], box["left"] + box["width"]] for box in boxes]

    return look, version("presidio-image-redactor")


TOOLS = {"tesseract": tesseract, "presidio": presidio, "dentdeid": dentdeid}


def cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    tool, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    look, found = TOOLS[tool]()
    (folder / f"{tool}.version").write_text(found)
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    look(np.load(folder / entries[0]["file"]), entries[0]["script"], entries[0]["text"])  # loads what it loads once
    start = time.monotonic()
    with (folder / f"{tool}.jsonl").open("w") as stream:
        for entry in entries:
            frame, before = np.load(folder / entry["file"]), cpu()
            try:
                answer = {"boxes": [list(map(int, box)) for box in look(frame, entry["script"], entry["text"])]}
            except Exception as error:  # counted as nothing found, and shown
                answer = {"boxes": [], "error": f"{type(error).__name__}: {str(error)[:100]}"}
            print(json.dumps({**answer, "cpu": cpu() - before}), file=stream, flush=True)
            if time.monotonic() - start > seconds:
                break


if __name__ == "__main__":
    main()
