import json

import pytest
import torch

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.inference_steps import mean_field
from atrous.crf.kernels import Bilateral, Gaussian, Spatial
from atrous.errors import CheckpointError, ConfigError, ShapeError

MATRIX = ((0.0, 1.0, 2.0), (1.0, 0.0, 0.5), (2.0, 0.5, 0.0))
KERNELS = (Spatial(sigma=2, weight=1.5), Bilateral(sigma_xy=(4, 6), sigma_rgb=(9.0, 10.0, 11.0), weight=-0.5))


def scores_and_image(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 7, generator=generator, dtype=dtype)
    return logits, torch.randint(0, 256, (2, 3, 6, 7), generator=generator)


@pytest.mark.parametrize("compatibility", [None, (0.0, -1.0, -2.0), MATRIX])
@pytest.mark.parametrize("normalization", ["symmetric", "before", "after", "none"])
def test_calling_it_is_mean_field(normalization, compatibility):
    logits, images = scores_and_image(torch.float64)
    crf = DenseCRF(KERNELS, num_steps=3, normalization=normalization, compatibility=compatibility)
    costs = None if compatibility is None else torch.tensor(compatibility, dtype=torch.float64)
    expected = mean_field(
        logits, images, kernels=KERNELS, num_steps=3, normalization=normalization, compatibility=costs
    )
    assert torch.equal(crf(logits, images), expected)


def test_half_precision_is_refined_in_float32_also_with_costs():
    logits, images = scores_and_image(torch.bfloat16)
    probabilities = DenseCRF(KERNELS, compatibility=MATRIX)(logits, images)
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 6, 7))


def test_autocast_changes_nothing():
    logits, images = scores_and_image()
    crf = DenseCRF(KERNELS, compatibility=MATRIX)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probabilities = crf(logits, images)
    assert torch.equal(probabilities, crf(logits, images))


def test_spatial_kernels_need_no_image():
    logits, _ = scores_and_image()
    assert DenseCRF([Spatial()])(logits).shape == logits.shape
    with pytest.raises(ShapeError, match="no images"):
        DenseCRF()(logits)


def test_costs_of_another_number_of_classes_are_refused():
    logits, images = scores_and_image()
    with pytest.raises(ShapeError, match="does not fit 3 classes"):
        DenseCRF(KERNELS, compatibility=(1.0, 2.0))(logits, images)


def test_settings_are_frozen_and_equal_by_value():
    assert DenseCRF(list(KERNELS)) == DenseCRF(KERNELS)
    assert len({DenseCRF(list(KERNELS)), DenseCRF(KERNELS)}) == 1
    with pytest.raises(AttributeError):
        DenseCRF().num_steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernels": []}, "no list of kernels; give some"),
        ({"num_steps": -1}, "num_steps -1 is no number of updates"),
        ({"compatibility": ()}, "compatibility of 0 rows"),
        ({"compatibility": ((0.0, 1.0),)}, r"compatibility of 1 rows with \[2\] numbers"),
        ({"compatibility": ((0.0, 1.0), (1.0,))}, r"compatibility of 2 rows with \[1, 2\] numbers"),
        ({"compatibility": (0.0, float("nan"))}, "not all finite"),
        ({"compatibility": ((0.0, 1.0), (float("inf"), 0.0))}, "not all finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        DenseCRF(**settings)


@pytest.mark.parametrize(
    "crf",
    [
        DenseCRF(),
        DenseCRF(KERNELS, num_steps=0, normalization="after", compatibility=MATRIX),
        DenseCRF(
            [Spatial(0.1 + 0.2, 1 / 3, (0.5, 0.5, 2))], normalization="none", compatibility=(-1 / 3, 2.0)
        ),
        DenseCRF(
            [Bilateral(sigma_rgb=(7,)), Bilateral()], normalization="before", compatibility=((1e-300,),)
        ),
    ],
)
def test_settings_survive_json(crf):
    assert DenseCRF.from_dict(json.loads(json.dumps(crf.to_dict()))) == crf


def test_features_are_no_setting_to_store():
    with pytest.raises(ConfigError, match="Gaussian kernel holds features"):
        DenseCRF([Gaussian(torch.zeros(1, 2, 2))]).to_dict()


SPATIAL = {"kernel": "Spatial", "sigma": 3.0, "weight": 3.0, "spacing": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"kernels": None},
        {"kernels": []},
        {"kernels": ["Spatial"]},
        {"kernels": [{}]},
        {"kernels": [{**SPATIAL, "kernel": "Gaussian"}]},
        {"kernels": [{**SPATIAL, "kernel": ["Spatial"]}]},
        {"kernels": [{**SPATIAL, "width": 3}]},
        {"kernels": [{**SPATIAL, "sigma": 0}]},
        {"kernels": [{**SPATIAL, "sigma": "3"}]},
        {"kernels": [{**SPATIAL, "sigma": [3.0, True]}]},
        {"kernels": [{**SPATIAL, "weight": [3.0]}]},
        {"kernels": [{**SPATIAL, "weight": None}]},
        {"num_steps": 2.5},
        {"num_steps": True},
        {"num_steps": -2},
        {"normalization": "both"},
        {"normalization": ["after"]},
        {"compatibility": 3},
        {"compatibility": [[0.0, 1.0]]},
        {"compatibility": [[0.0, "1"], [1.0, 0.0]]},
        {"compatibility": [[0.0, 1.0], 1.0]},
        {"temperature": 1.0},
    ],
)
def test_broken_settings_are_refused_in_one_line(change):
    stored = {"kernels": [SPATIAL], "num_steps": 10, "normalization": "symmetric"}
    assert DenseCRF.from_dict(stored) == DenseCRF([Spatial()])
    with pytest.raises(CheckpointError, match="holds no settings of DenseCRF") as caught:
        DenseCRF.from_dict({**stored, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["kernels", "num_steps"])
def test_missing_settings_are_refused(name):
    stored = DenseCRF().to_dict()
    del stored[name]
    with pytest.raises(CheckpointError, match=name):
        DenseCRF.from_dict(stored)
