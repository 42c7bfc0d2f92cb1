"""Volumes are labeled slice by slice, on their own grid."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.data.label_volume import stored_note
from atrous.data.volumes import open_volume
from atrous.inference.image_work import ImageWork
from atrous.inference.pipeline import predict_works
from atrous.inference.predictor import Predictor
from atrous.inference.volume_work import VolumeWork
from atrous.inference.work import Outcome, Part
from atrous.models.catalog import build_network
from atrous.models.context3d import ContextNetwork3D

nibabel = pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def predictor():
    return Predictor(build_network("compact", num_classes=3), device="cpu")


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 30, 5)).astype(np.float32)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def error_of(work: VolumeWork, predictor: Predictor) -> str:
    *_, outcome = predict_works([work], predictor)
    assert isinstance(outcome, Outcome)
    return outcome.error


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_has_the_labels_of_its_slices_on_its_own_grid(tmp_path, predictor, scan, axis):
    image = ImageWork(scan, tmp_path / "labels.nii.gz", overlay=tmp_path / "a.jpg", note='{"how": 1}')
    *parts, outcome = predict_works([VolumeWork(image, axis)], predictor)
    assert outcome == Outcome(0)
    count = (20, 30, 5)[axis]
    assert parts == [Part(scan, index + 1, count) for index in range(count)]
    stored = nibabel.load(tmp_path / "labels.nii.gz")
    labels = np.moveaxis(np.asarray(stored.dataobj), axis, 0)
    assert np.array_equal(stored.affine, nibabel.load(scan).affine)
    with open_volume(scan, axis=axis) as volume:
        for index in range(count):
            assert np.array_equal(labels[index], predictor(volume.read(index)).label_map)
    assert stored_note(tmp_path / "labels.nii.gz") == '{"how": 1}'
    with Image.open(tmp_path / "a.jpg") as overlay:
        height, width = labels.shape[1:]
        factor = 200 // max(height, width)  # small slices are enlarged
        assert overlay.size == (4 * width * factor, -(-min(16, count) // 4) * height * factor)


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAR", "ILA"])
@pytest.mark.parametrize("axis", [0, 2])
def test_a_network_for_volumes_labels_them_upright_on_their_own_grid(tmp_path, codes, axis):
    torch.manual_seed(0)
    upright = Predictor(ContextNetwork3D(3, width=4, dilations=(1, 2)), device="cpu")
    values = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    truth = nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0]))
    turned = truth.as_reoriented(nibabel.orientations.axcodes2ornt(codes))
    nibabel.save(turned, tmp_path / "scan.nii.gz")
    work = VolumeWork(ImageWork(tmp_path / "scan.nii.gz", tmp_path / "a.nii.gz", tmp_path / "a.jpg"), axis)
    *_, outcome = predict_works([work], upright)
    assert outcome == Outcome(0)
    stored = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(stored.affine, turned.affine)
    assert stored.header.get_zooms() == turned.header.get_zooms()
    back = nibabel.as_closest_canonical(stored)
    np.testing.assert_array_equal(np.asarray(back.dataobj), upright(values).label_map)


def test_probabilities_and_what_is_no_volume_are_one_line(tmp_path, predictor, scan):
    image = ImageWork(scan, tmp_path / "labels.nii.gz", probabilities=tmp_path / "a.npz")
    assert "no probabilities" in error_of(VolumeWork(image), predictor)
    scan.write_bytes(scan.read_bytes()[:200])
    work = VolumeWork(ImageWork(scan, tmp_path / "labels.nii.gz"))
    assert "cut off or damaged" in error_of(work, predictor)
    assert not (tmp_path / "labels.nii.gz").exists()


def test_a_note_is_only_found_where_one_is(tmp_path, scan):
    assert stored_note(scan) == ""
    (tmp_path / "other.nii.gz").write_bytes(b"nothing")
    assert stored_note(tmp_path / "other.nii.gz") == ""


def test_a_volume_at_no_place_is_one_line(tmp_path, predictor, scan):
    content = bytearray(gzip.decompress(scan.read_bytes()))
    content[280:284] = struct.pack("<f", float("nan"))  # srow_x[0]
    scan.write_bytes(gzip.compress(bytes(content)))
    assert "voxels lie at NaN" in error_of(VolumeWork(ImageWork(scan, tmp_path / "a.nii.gz")), predictor)


def test_a_flat_volume_is_told_how_to_become_one(tmp_path, predictor):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5), np.float32), np.eye(4)), tmp_path / "flat.nii")
    work = VolumeWork(ImageWork(tmp_path / "flat.nii", tmp_path / "a.nii.gz"))
    assert "save a slice as an image" in error_of(work, predictor)


def test_a_volume_behind_a_url_is_one_line(tmp_path, predictor):
    work = VolumeWork(ImageWork("memory://bucket/scan.nii.gz", tmp_path / "a.nii.gz"))
    assert "copy it here" in error_of(work, predictor)
