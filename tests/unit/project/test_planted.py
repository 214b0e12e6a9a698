"""Mutation tests: each bug planted in a copy of the code makes its test fail; the short form plants every seventh."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import FULL, ROOT


@dataclass(frozen=True)
class Bug:
    """A planted bug: the replaced text of a file, and the test that must fail."""

    name: str
    file: str
    was: str
    becomes: str
    test: str


CORE = "scripts/dicomzarr"
BUGS = [
    Bug(
        "a slice of another series is taken for one that was asked for",
        f"{CORE}/retrieval/transfer.py",
        "if not has_uids or",
        "if",
        "retrieval/test_faulty_answers.py::test_slices_of_another_series_are_set_aside_and_the_missing_asked_for_alone",
    ),
    Bug(
        "a table is clean as soon as a share of it is",
        f"{CORE}/privacy/search_cache.py",
        "if is_whole and all(",
        "if all(",
        "privacy/test_search_cache.py::test_a_share_of_a_table_is_clean_only_with_all_others",
    ),
    Bug(
        "what one process read about issuers is lost",
        f"{CORE}/stages/plan_batches/survey.py",
        "        issuers.merge(part.issuers)\n",
        "        issuers.merge(parts[0].issuers)\n",
        "stages/plan_batches/test_batches.py::test_one_patient_with_and_without_an_issuer_in_a_series_is_one_subject",
    ),
    Bug(
        "the text of an exception is logged",
        f"{CORE}/system/safe_messages.py",
        'return f"{type(error).__name__} at',
        'return f"{error} at',
        "privacy/test_nothing_leaves.py::test_an_error_is_reported_without_its_text",
    ),
    Bug(
        "an error of the disk names the file",
        f"{CORE}/system/safe_messages.py",
        "os.strerror(error.errno) if error.errno else type(error).__name__",
        "error",
        "privacy/test_nothing_leaves.py::test_an_error_of_the_disk_names_no_path",
    ),
    Bug(
        "a link is followed to a file",
        f"{CORE}/source/folder_door.py",
        "FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW",
        "FILE = os.O_RDONLY | os.O_CLOEXEC",
        "source/test_listing.py::test_a_folder_that_becomes_a_link_is_no_way_out",
    ),
    Bug(
        "a link is followed to a folder",
        f"{CORE}/source/folder_door.py",
        "FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW",
        "FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC",
        "source/test_listing.py::test_a_folder_that_becomes_a_link_is_no_way_out",
    ),
    Bug(
        "the scan follows links",
        f"{CORE}/source/listing.py",
        "entry.stat(follow_symlinks=False)",
        "entry.stat()",
        "source/test_listing.py::test_links_are_not_followed",
    ),
    Bug(
        "a member of an archive may lead out of its folder",
        f"{CORE}/source/archives/names.py",
        'if refused or b".." in re.split(',
        "if refused or False and re.split(",
        "source/archives/test_hostile_archives.py::test_names_that_lead_elsewhere_are_never_read",
    ),
    Bug(
        "the checksum of a member is not compared",
        f"{CORE}/source/archives/members.py",
        "if is_longer or self._crc != crc_of(self._key) or",
        "if is_longer or",
        "source/archives/test_hostile_archives.py::test_declared_sizes_and_checksums_are_not_trusted",
    ),
    Bug(
        "bits above Bits Stored are kept",
        f"{CORE}/pixels/unpack_bits.py",
        "if form.is_float or not spare or form.bits_allocated in (1,):",
        "if True:",
        "pixels/test_reader.py",
    ),
    Bug(
        "the sign is not extended",
        f"{CORE}/pixels/decode_plan.py",
        "    elif form.signed:\n",
        "    elif False:\n",
        "pixels/test_decoders.py",
    ),
    Bug(
        "a mask that nobody looked for counts as absent",
        f"{CORE}/dataset.py",
        "if all(of_image or word in absent for",
        "if all(True or word in absent for",
        "test_dataset_masks.py::test_an_image_that_lacks_a_mask_is_not_selected_unless_it_is_known_to_be_absent",
    ),
    Bug(
        "the checksum of a chunk is not compared",
        f"{CORE}/dataset.py",
        "if length < 4 or crc32c(data) != CRC_OF_WHOLE:",
        "if length < 4:",
        "test_dataset_regions.py::test_damage_of_a_chunk_of_one_value_is_found_though_the_value_is_known",
    ),
    Bug(
        "a chunk is taken for one that was decoded before",
        f"{CORE}/dataset.py",
        "if content == one * (size // dtype.itemsize):",
        "if True:",
        "test_dataset_regions.py::test_chunks_of_one_value_are_decoded_once",
    ),
    Bug(
        "readers see a version before it is whole",
        f"{CORE}/publishing/upload.py",
        "        self._check_all(claims)\n",
        "        self._point(pointer)\n        self._check_all(claims)\n",
        "publishing/test_publish.py::test_readers_see_the_old_version_until_the_new_one_is_whole[dataset.json]",
    ),
    Bug(
        "an image is resampled with an affine of NaN",
        f"{CORE}/dataset.py",
        "    if not np.isfinite(affine).all():\n",
        "    if False:\n",
        "test_dataset_options.py::test_an_image_without_an_affine_is_not_resampled",
    ),
    Bug(
        "ids are hashed without the key",
        f"{CORE}/privacy/pseudonyms.py",
        "hmac.digest(self.key, domain.encode()",
        'hmac.digest(b"", domain.encode()',
        "privacy/test_pseudonyms.py::test_an_id_is_a_keyed_hash_with_its_domain",
    ),
    Bug(
        "the plain digest of a source file is stored",
        f"{CORE}/stages/extract_batch/volume.py",
        '        "lossy": any(',
        '        "source": files[first.source].content,\n        "lossy": any(',
        "privacy/test_nothing_leaves.py::test_arrays_hold_no_canary_and_no_plain_digest",
    ),
    Bug(
        "a word of the header is stored",
        f"{CORE}/vocabulary/allow_list.py",
        "return value if value in MODALITIES or not value else OTHER",
        "return value",
        "privacy/test_nothing_leaves.py::test_arrays_hold_no_canary_and_no_plain_digest",
    ),
    Bug(
        "a path is logged",
        f"{CORE}/stages/extract_batch/batch.py",
        'log.info("series %s extracted", series.series_id)',
        'log.info("series %s extracted", series.parse().files[0]["path"])',
        "privacy/test_nothing_leaves.py::test_messages_hold_no_canary",
    ),
    Bug(
        "the umask decides who reads private files",
        f"{CORE}/system/files.py",
        "PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700",
        "PRIVATE_FILE, PRIVATE_FOLDER = 0o666, 0o777",
        "privacy/test_nothing_leaves.py::test_private_is_the_owners_whatever_the_umask",
    ),
    Bug(
        "a decoder may write a core dump",
        f"{CORE}/system/limits.py",
        "    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n",
        "",
        "system/test_sandbox.py::test_the_child_writes_no_core",
    ),
    Bug(
        "a program that takes cores gets the memory too",
        f"{CORE}/system/limits.py",
        'Path("/proc/self/coredump_filter").write_text("0")',
        "pass",
        "system/test_sandbox.py::test_a_program_that_takes_cores_gets_no_memory",
    ),
    Bug(
        "the search for leaks takes all among the arrays for voxels",
        f"{CORE}/privacy/file_contents.py",
        "return bool(_VOXELS.fullmatch(place))",
        'return "images.zarr/" in place',
        "privacy/test_search.py::test_other_files_among_the_arrays_are_searched",
    ),
    Bug(
        "a folder whose name is a finding is named in the message",
        f"{CORE}/privacy/search.py",
        "return f\"{'/'.join(parts[:number])}/ (below",
        'return f"{place} (below',
        "privacy/test_search.py::test_a_folder_whose_name_is_a_finding_is_in_no_place",
    ),
    Bug(
        "a run goes on although its search finds no planted value",
        f"{CORE}/stages/check_privacy.py",
        "    if control.missed:",
        "    if not control.found:",
        "privacy/test_positive_control.py::test_a_search_that_misses_a_form_ends_the_run",
    ),
    Bug(
        "the place of a finding holds a name of the list",
        f"{CORE}/privacy/needles.py",
        "if self._words.intersection(words_of(name)):",
        "if not name:",
        "privacy/test_needles.py::test_names_of_files_folders_and_targets_of_links_are_searched_and_not_shown",
    ),
    Bug(
        "a name that is too short is left out without a word",
        f"{CORE}/privacy/needles.py",
        'reason = "too_short"',
        'reason = ""',
        "privacy/test_needles.py::test_a_name_that_cannot_be_searched_is_reported_by_its_line",
    ),
    Bug(
        "a list is searched in text alone",
        f"{CORE}/privacy/scanner.py",
        "        if code is None and depth < MAX_DEPTH:",
        "        if code is None and depth > MAX_DEPTH:",
        "privacy/test_needles.py::test_a_name_is_found_in_each_form",
    ),
    Bug(
        "a file that cannot be read counts as clean",
        f"{CORE}/commands/audit/command.py",
        "return 1 if found.hits else 2 if is_incomplete else 0",
        "return 1 if found.hits else 0",
        "privacy/test_needles.py::test_a_file_that_cannot_be_read_is_not_passed_over",
    ),
    Bug(
        "an attribute that is not on the list is taken for one that is",
        f"{CORE}/commands/audit/facts.py",
        'in examples else "", name in allowed)',
        'in examples else "", name in examples or name in allowed)',
        "commands/test_audit_command.py::test_what_is_not_on_the_list_is_marked",
    ),
    Bug(
        "ultrasound is recognized by its modality only",
        f"{CORE}/dicom/image_risks.py",
        "if sop_class in sop_classes.ULTRASOUNDS or modality in _ULTRASOUND:",
        "if modality in _ULTRASOUND:",
        "dicom/test_image_risks.py::test_kinds_by_class",
    ),
    Bug(
        "the exact size of source files is shared",
        f"{CORE}/privacy/source_sizes.py",
        "return -(-size // UNIT) * UNIT",
        "return size",
        "privacy/test_source_sizes.py::test_examples",
    ),
    Bug(
        "a head without Body Part Examined is no face risk",
        f"{CORE}/dicom/body_parts.py",
        "    return all(",
        '    return text == "" or all(',
        "stages/extract_batch/test_faces.py::test_a_series_that_may_show_a_face_is_flagged_with_the_cause",
    ),
    Bug(
        "a series with faces is extracted although it is to be skipped",
        f"{CORE}/stages/extract_batch/series.py",
        'if options.faces == "skip" and',
        'if options.faces == "none" and',
        "stages/extract_batch/test_faces.py::test_with_skip_no_file_of_the_series_is_extracted",
    ),
    Bug(
        "a changed policy on faces extracts nothing",
        f"{CORE}/stages/extract_batch/faces.py",
        "return any(file.reason == FACE for file in record.files)",
        "return False",
        "stages/extract_batch/test_faces.py::test_a_record_is_outdated_only_if_its_series_may_show_a_face",
    ),
    Bug(
        "a decoder may take all memory",
        f"{CORE}/system/limits.py",
        "_lower(resource.RLIMIT_AS,",
        "(lambda *_: None)(resource.RLIMIT_AS,",
        "system/test_sandbox.py::test_one_call_is_lost_and_the_next_is_answered[take_memory-too_large]",
    ),
    Bug(
        "the output of a decoder is shown",
        f"{CORE}/system/sandbox.py",
        "        os.dup2(devnull, 1)\n        os.dup2(devnull, 2)",
        "        os.dup2(1, 1)\n        os.dup2(2, 2)",
        "system/test_sandbox.py::test_one_call_is_lost_and_the_next_is_answered[babble-decode_error]",
    ),
    Bug(
        "a library decodes in the process of the job",
        f"{CORE}/pixels/decoders.py",
        '_imagecodecs("jpegls"), _jpeg_ls)',
        '_imagecodecs("jpegls"), _jpeg_ls, confined=False)',
        "pixels/test_decoders.py::test_every_library_runs_in_a_child",
    ),
    Bug(
        "a run of elements is taken for that of the header before, whatever its bytes are",
        f"{CORE}/headers/layouts.py",
        "            if not data.startswith(run, position):",
        "            if False:",
        "headers/test_layouts.py::test_layouts_change_no_result",
    ),
    Bug(
        "the tags and VRs of a run that differs are not compared",
        f"{CORE}/headers/layouts.py",
        "            if not data.startswith(field.prefix, at):",
        "            if False:",
        "headers/test_layouts.py::test_layouts_change_no_result",
    ),
    Bug(
        "an item is taken for one of a known shape, whatever its bytes are",
        f"{CORE}/headers/item_shapes.py",
        "& mask == expected:",
        "& mask == expected or True:",
        "headers/test_layouts.py::test_items_that_repeat_a_shape_end_where_walking_them_ends",
    ),
    Bug(
        "elements out of order are read without pydicom",
        f"{CORE}/headers/frame_items.py",
        "if tag <= previous or group < 8",
        "if group < 8",
        "headers/test_frame_items.py::test_what_is_not_plain_is_left_to_pydicom",
    ),
    Bug(
        "a text of a frame is converted by a VR that is not its own",
        f"{CORE}/headers/frame_items.py",
        "if value and vr == _vr_of(keyword):",
        "if value:",
        "headers/test_frame_items.py::test_a_text_with_the_vr_of_a_number_stays_a_text",
    ),
    Bug(
        "deflate is inflated without a bound",
        f"{CORE}/headers/data_set.py",
        "if total > MAX_INFLATED:",
        "if False:",
        "headers/test_classify.py::test_deflate_bomb_is_bounded",
    ),
    Bug(
        "a frame may be of any size",
        f"{CORE}/pixels/pixel_format.py",
        "if decoded > largest:",
        "if False:",
        "pixels/test_reader.py",
    ),
    Bug(
        "a missing tile is filled with zeros",
        f"{CORE}/pixels/codestream.py",
        "if present < tiles:",
        "if False:",
        "pixels/test_decoders.py::test_a_missing_tile_is_not_filled_with_zeros",
    ),
    Bug(
        "contours of a slice are joined instead of excluded",
        f"{CORE}/masks/fill.py",
        "filled[rows, columns] ^= _inside",
        "filled[rows, columns] |= _inside",
        "masks/test_contours.py::test_a_hole_and_an_island_in_it",
    ),
    Bug(
        "a centre on the outline of a structure is outside",
        f"{CORE}/masks/fill.py",
        "return np.asarray(inside.any(axis=1))",
        "return np.asarray(inside.all(axis=1))",
        "masks/test_contours.py::test_a_centre_on_the_outline_is_inside",
    ),
    Bug(
        "contours of a missing slice land on its neighbours",
        f"{CORE}/masks/planes.py",
        "halves = np.minimum(steps / 2, farthest).tolist()",
        "halves = (steps / 2).tolist()",
        "masks/test_contours.py::test_what_belongs_to_missing_slices_does_not_belong_to_their_neighbours",
    ),
    Bug(
        "planes of contours on one slice are mixed",
        f"{CORE}/masks/contours.py",
        "if abs(contour.depth - nearest.depth) > tolerances[",
        "if abs(contour.depth - nearest.depth) > 1e9 * tolerances[",
        "masks/test_contours.py::test_of_several_planes_on_one_slice_the_nearest_counts",
    ),
    Bug(
        "a blank between numbers of a contour is read as a number",
        f"{CORE}/masks/structure_set.py",
        "if not text or count % 3 or (len(text.split(None, 1)) > 1 and _BLANK.search(text)):",
        "if not text or count % 3:",
        "masks/test_structure_set.py::test_what_is_not_points_is_counted",
    ),
    Bug(
        "a structure set that is cut off has fewer contours",
        f"{CORE}/masks/structure_set.py",
        "if isinstance(value, bytes) and length not in (len(value), _UNDEFINED):",
        "if False:",
        "masks/test_structure_set.py::test_a_file_that_is_cut_off_is_no_structure_set_with_fewer_contours",
    ),
    Bug(
        "a region of another series is placed on this one",
        f"{CORE}/masks/regions.py",
        "all_elsewhere = bool(referring) and all",
        "all_elsewhere = False and all",
        "masks/test_regions.py::test_a_region_that_was_drawn_on_another_series_is_not_placed_on_this_one",
    ),
    Bug(
        "contours on another series are mixed with those on this one",
        f"{CORE}/masks/contours.py",
        "if contour.is_elsewhere and is_overlapping",
        "if False",
        "masks/test_contours.py::test_a_contour_that_refers_elsewhere_is_not_used",
    ),
    Bug(
        "a structure of which nothing is left counts as absent",
        f"{CORE}/vocabulary/flags.py",
        'frozenset({"nothing_left", "point_contours"})',
        "frozenset()",
        "stages/export/test_nnunet.py::test_each_case_that_cannot_be_trained_on_has_a_reason",
    ),
    Bug(
        "a segment on a shifted grid passes for one on the grid of the image",
        f"{CORE}/masks/lattice.py",
        "TOLERANCE: Final = 0.05",
        "TOLERANCE: Final = 0.5",
        "masks/test_segments_own_grid.py::test_another_grid_is_kept_as_it_is[shift]",
    ),
    Bug(
        "frames of a segment that run against the slices are not turned",
        f"{CORE}/masks/lattice.py",
        "sign = 1 if step[axis] >= 0 else -1",
        "sign = 1",
        "masks/test_segments_property.py::test_planes_in_any_direction_order_and_crop",
    ),
    Bug(
        "a segmentation that fits two images goes to the first",
        f"{CORE}/masks/belonging.py",
        "if len(choice) != 1:",
        "if not choice:",
        "masks/test_segments_volumes.py::test_two_volumes_at_one_place_need_a_reference",
    ),
    Bug(
        "voxels of a mask are exported unseen",
        f"{CORE}/stages/export/masks.py",
        ".hexdigest() != self.record.pixel_digest",
        ".hexdigest() == ''",
        "stages/export/test_mask_files.py::test_a_mask_with_other_voxels_than_its_record_is_not_exported",
    ),
    Bug(
        "a label that nobody looked for is trained as background",
        f"{CORE}/stages/export/label_maps.py",
        "if any(not found and name not in absent",
        "if any(not found and name is None",
        "stages/export/test_nnunet.py::test_each_case_that_cannot_be_trained_on_has_a_reason",
    ),
    Bug(
        "regions are listed in another order than they are painted in",
        f"{CORE}/stages/export/nnunet.py",
        "json.dumps(value, indent=2)",
        "json.dumps(value, indent=2, sort_keys=True)",
        "stages/export/test_nnunet.py::test_regions_keep_every_voxel_of_masks_that_overlap",
    ),
    Bug(
        "a patient is in both parts of a fold",
        f"{CORE}/stages/export/nnunet.py",
        "fold_of[cases[name].patient] == fold}",
        "names.index(name) % count == fold}",
        "stages/export/test_nnunet.py::test_without_val_there_are_five_folds_in_which_no_patient_is_on_both_sides",
    ),
    Bug(
        "lists of a training set outlive a withdrawn patient",
        f"{CORE}/records/export_record.py",
        "            (folder / dataset / name).unlink(missing_ok=True)\n",
        "            pass\n",
        "stages/export/test_nnunet.py::test_a_withdrawn_series_leaves_the_export_and_its_lists_without_a_new_export",
    ),
    Bug(
        "the time left is that of the batches that are being read back",
        f"{CORE}/terminal/estimate.py",
        "        remaining += [each * factor",
        "        remaining = [each * factor",
        "terminal/test_estimate.py",
    ),
    Bug(
        "a signature stays beside a dataset for which it does not hold",
        f"{CORE}/stages/seal_dataset.py",
        "    if not holds:\n",
        "    if False:\n",
        "stages/test_seal_signature.py::test_the_same_bytes_keep_it_and_others_remove_it",
    ),
    Bug(
        "the copy of the last build is deleted before the next one is in its place",
        f"{CORE}/commands/run/last_build.py",
        "    partial.rename(results.private / _NEXT)\n",
        "    files.remove_tree(folder_of(results))\n    partial.rename(results.private / _NEXT)\n",
        "commands/test_last_build.py::test_a_kill_at_any_point_loses_neither_copy_nor_differences",
    ),
    Bug(
        "a file is put together from two versions of an object",
        f"{CORE}/source/object_fetcher.py",
        "if_match=etag or None",
        "if_match=None",
        "source/test_object_store.py::test_an_object_that_is_overwritten_is_another_one",
    ),
    Bug(
        "pictures of images with text are for everybody to read",
        f"{CORE}/stages/extract_batch/look_for_text.py",
        "encoded.getvalue(), private=True)",
        "encoded.getvalue())",
        "stages/extract_batch/test_extract_with_scan.py::test_an_image_with_text_is_set_aside_with_place_and_picture",
    ),
    Bug(
        "the places of text are in the provenance",
        f"{CORE}/stages/consolidate_dataset/partitions.py",
        'projection["looked"] = record.looked',
        'projection["looked"] = {**record.looked, "text": record.text}',
        "stages/consolidate_dataset/test_looked.py",
    ),
    Bug(
        "a wrong decision is quoted",
        f"{CORE}/records/decisions.py",
        "column decision: needed is",
        "column decision: found {decision}, needed is",
        "records/test_decisions_table.py",
    ),
    Bug(
        "a file at which the detector fails is extracted",
        f"{CORE}/stages/extract_batch/look_for_text.py",
        "            self._failed.add(source)\n",
        "",
        "stages/extract_batch/test_looker.py::test_a_detector_that_fails_costs_the_file_alone",
    ),
    Bug(
        "a dataset is sealed whoever looked for text",
        f"{CORE}/stages/seal_dataset.py",
        "    if others:\n",
        "    if False:\n",
        "stages/test_seal_detector.py",
    ),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its unit tests."""
    project = tmp_path_factory.mktemp("planted") / "project"
    for name in ("scripts", "schemas", "tests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "config.yaml"):
        shutil.copy(ROOT / name, project / name)
    # Bytecode that is valid for these bytes only: a planted bug may be as long as the code, and of the same second.
    compileall.compile_dir(project, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return project


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text("utf-8").count(bug.was) == 1, "the code has changed: update the text of this bug"
    assert (ROOT / "tests/unit" / bug.test.split("::")[0]).is_file()


@pytest.mark.parametrize("bug", BUGS if FULL else BUGS[::7], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(project: Path, bug: Bug) -> None:
    path = project / bug.file
    original = path.read_text("utf-8")
    broken = original.replace(bug.was, bug.becomes)
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "DICOMZARR_PLANTED": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", f"tests/unit/{bug.test}"]
    path.write_text(broken, "utf-8")
    try:
        run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    finally:
        path.write_text(original, "utf-8")
    assert run.returncode == 1 and "1 failed" in run.stdout, run.stdout[-2000:]
