"""Agreement with pydensecrf: with its results on file, and, where it is installed, on photos."""

import importlib.util

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image

from atrous.crf.filters import build_exact
from atrous.crf.inference_steps import build_filters, mean_field, refine_logits
from atrous.crf.kernels import from_pydensecrf
from atrous.crf.unary import unary_from_labels
from crf import pydensecrf_reference as reference

installed = pytest.mark.skipif(
    importlib.util.find_spec("pydensecrf") is None,
    reason="needs pydensecrf2, a development tool that is built from source",
)
USUAL = {"sxy_gaussian": 3, "compat_gaussian": 3, "sxy_bilateral": 80, "srgb": 13, "compat_bilateral": 10}


def tensors(image, scores):
    return torch.from_numpy(scores)[None], torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    ("normalization", "name", "compatibility"), reference.CASES, ids=lambda case: str(case)[:9]
)
def test_agrees_with_results_on_file(normalization, name, compatibility):
    image, scores = reference.scene()
    logits, images = tensors(image, scores)
    refined = mean_field(
        logits,
        images,
        kernels=from_pydensecrf(**reference.SETTINGS, compat_bilateral=reference.WEIGHT),
        num_steps=5,
        normalization=normalization,
        compatibility=None if compatibility is None else torch.from_numpy(compatibility),
    )
    with np.load(reference.PATH) as stored:
        np.testing.assert_allclose(refined[0], stored[f"{normalization} {name}"], atol=1e-3)


@installed
def test_results_on_file_are_those_of_the_installed_version():
    image, scores = reference.scene()
    with np.load(reference.PATH) as stored:
        for normalization, name, compatibility in reference.CASES:
            now = reference.refine(
                image,
                scores,
                settings=reference.SETTINGS,
                normalization=normalization,
                weights=(reference.SETTINGS["compat_gaussian"], reference.WEIGHT),
                compatibility=compatibility,
            )
            np.testing.assert_allclose(now, stored[f"{normalization} {name}"], atol=1e-5)


def coarse_scores(image, num_classes):
    """Scores as a network's: smooth, unsure, and blind to edges."""
    generator = torch.Generator().manual_seed(0)
    coarse = 2 * torch.randn(1, num_classes, 12, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=image.shape[:2], mode="bilinear")
    return (smooth + torch.randn(smooth.shape, generator=generator) / 2)[0].numpy()


def check_agreement(image, scores, **settings):
    logits, images = tensors(image, scores)
    refined = mean_field(logits, images, kernels=from_pydensecrf(**settings))[0].numpy()
    weights = (settings["compat_gaussian"], settings["compat_bilateral"])
    theirs = reference.refine(
        image, scores, settings=settings, normalization="symmetric", weights=weights, num_steps=10
    )
    assert np.abs(refined - theirs).max() < 1e-3
    assert (refined.argmax(0) == theirs.argmax(0)).mean() > 0.999


def portrait():
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        return np.array(photo.convert("RGB"))


@installed
@pytest.mark.parametrize("num_classes", [2, 21])
def test_agrees_on_a_portrait(num_classes):
    image = np.ascontiguousarray(portrait()[::2, ::2])
    check_agreement(image, coarse_scores(image, num_classes), **USUAL)


@pytest.mark.slow
@installed
def test_agrees_with_narrow_colors_where_points_lie_on_borders_of_simplices():
    deeplab = {"sxy_gaussian": 1, "compat_gaussian": 3, "sxy_bilateral": 67, "srgb": 3, "compat_bilateral": 4}
    image = portrait()
    check_agreement(image, coarse_scores(image, 5), **deeplab)


@installed
@pytest.mark.parametrize("number", [0, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_agrees_on_a_street(shared_data, number):
    path = sorted((shared_data / "camvid" / "val").glob("*.jpg"))[number]
    with Image.open(path) as photo:
        image = np.array(photo.convert("RGB"))
    with Image.open(shared_data / "camvid" / "valannot" / f"{path.stem}.png") as drawn:
        labels = torch.from_numpy(np.array(drawn)).long()
    labels[labels > 10] = 255
    unary = unary_from_labels(labels[None], num_classes=11, confidence=0.6)[0].numpy()
    check_agreement(image, unary, **USUAL)
    check_agreement(image, coarse_scores(image, 11), **USUAL)


@installed
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.slow
def test_error_against_all_pairs_is_no_larger(seed):
    """One step with weights of 1: the lattice's approximation itself, not what steps make of it."""
    image = np.ascontiguousarray(portrait()[100 + 50 * seed :][:60, 150:210])
    scores = 3 * np.random.default_rng(seed).normal(size=(4, 60, 60)).astype(np.float32)
    settings = {**USUAL, "sxy_bilateral": 20, "compat_gaussian": 3, "compat_bilateral": 3}
    kernels = from_pydensecrf(**settings)
    logits, images = tensors(image, scores)
    filters = build_filters(logits.double(), images, kernels=kernels, build=build_exact)
    weights = torch.tensor([3.0, 3.0], dtype=torch.float64)
    true = refine_logits(logits.double(), filters, weights=weights, num_steps=1).softmax(1)[0].numpy()
    ours = mean_field(logits, images, kernels=kernels, num_steps=1)[0].numpy()
    theirs = reference.refine(
        image, scores, settings=settings, normalization="symmetric", weights=(3.0, 3.0), num_steps=1
    )
    assert np.abs(ours - true).mean() <= np.abs(theirs - true).mean() * 1.001
    assert np.abs(ours - true).mean() < 0.02
