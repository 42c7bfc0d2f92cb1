"""A CRF in a checkpoint: what goes in comes out, beside the network's own tensors."""

import math
from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import load_checkpoint, load_tensors, save_checkpoint, save_tensors
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Gaussian, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import crf_of, refined, with_crf
from atrous.errors import CheckpointError, ConfigError, ShapeError

FOUND = DenseCRF((Spatial((2, 3), 1.5), Bilateral(40, (9.0, 10.0, 11.0), 4)), 5, "after", (0.0, 1.0, 2.0))


def learned() -> CRFRNN:
    torch.manual_seed(0)
    crf = CRFRNN(num_classes=3, kernels=[Spatial(2, 1), Bilateral(5, 20, 2)], num_steps=2, num_test_steps=4)
    torch.nn.init.normal_(crf.compatibility)
    torch.nn.init.normal_(crf.kernel_weights)
    return crf


def test_settings_come_back_and_the_network_stays(tiny_checkpoint):
    before = load_checkpoint(tiny_checkpoint)
    save_checkpoint(tiny_checkpoint, with_crf(before, FOUND))
    loaded = load_checkpoint(tiny_checkpoint)
    assert crf_of(loaded, num_classes=3) == FOUND
    assert loaded.tensors.keys() == before.tensors.keys()
    assert replace(loaded, tensors={}, crf={}) == replace(before, tensors={})


def test_a_learned_crf_comes_back_bit_for_bit_under_its_own_names(tiny_checkpoint):
    crf = learned()
    before = load_checkpoint(tiny_checkpoint)
    save_checkpoint(tiny_checkpoint, with_crf(before, crf))
    tensors, _ = load_tensors(tiny_checkpoint)
    assert tensors.keys() - before.tensors.keys() == {"crf.kernel_weights", "crf.compatibility"}
    loaded = crf_of(load_checkpoint(tiny_checkpoint), num_classes=3)
    assert isinstance(loaded, CRFRNN)
    assert not loaded.training
    assert loaded.to_dict() == crf.to_dict()
    for name, value in crf.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_crf_replaces_the_one_before_and_none_removes_it(tiny_checkpoint):
    checkpoint = with_crf(load_checkpoint(tiny_checkpoint), learned())
    assert with_crf(checkpoint, FOUND).crf_tensors == {}
    bare = with_crf(checkpoint, None)
    assert (bare.crf, bare.crf_tensors) == ({}, {})
    assert crf_of(bare, num_classes=3) is None


def test_files_of_the_first_format_have_none(tiny_checkpoint):
    tensors, header = load_tensors(tiny_checkpoint)
    del header["crf"]
    save_tensors(tiny_checkpoint, tensors, {**header, "format_version": 1})
    assert crf_of(load_checkpoint(tiny_checkpoint), num_classes=3) is None


@pytest.mark.parametrize("crf", [FOUND, learned()], ids=["settings", "learned"])
def test_another_number_of_classes_is_refused(tiny_checkpoint, crf):
    checkpoint = with_crf(load_checkpoint(tiny_checkpoint), crf)
    with pytest.raises(CheckpointError, match="a CRF of 3 classes beside a network of 4"):
        crf_of(checkpoint, num_classes=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "QuantumCRF"}, "unknown here; upgrade atrous"),
        ({"kind": "DenseCRF", "num_steps": "many"}, "no whole number"),
        ({"kind": "CRFRNN"}, "holds no settings of CRFRNN"),
    ],
)
def test_what_cannot_be_restored_is_refused(tiny_checkpoint, change, message):
    checkpoint = with_crf(load_checkpoint(tiny_checkpoint), FOUND)
    broken = replace(checkpoint, crf={**checkpoint.crf, **change})
    with pytest.raises(CheckpointError, match=message):
        crf_of(broken, num_classes=3)


def test_features_are_no_setting(tiny_checkpoint):
    crf = DenseCRF([Gaussian(torch.zeros(1, 4, 4))])
    with pytest.raises(ConfigError, match="Gaussian kernel holds features"):
        with_crf(load_checkpoint(tiny_checkpoint), crf)


def scores_and_image() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, 6, 7, generator=generator), torch.randint(
        0, 256, (1, 3, 6, 7), generator=generator
    )


def test_refined_scores_of_both_kinds_have_the_marginals_as_their_softmax():
    logits, images = scores_and_image()
    assert torch.allclose(refined(FOUND, logits, images).softmax(1), FOUND(logits, images), atol=1e-6)
    crf = learned().eval()
    assert torch.equal(refined(crf, logits, images), crf(logits, images))


def test_logarithms_of_zero_are_refined_and_other_infinities_refused():
    logits, images = scores_and_image()
    logits[:, 1] = -math.inf
    probabilities = refined(FOUND, logits, images).softmax(1)
    assert probabilities.isfinite().all()
    assert probabilities[:, 1].max() < 1e-30
    for wrong in (math.inf, math.nan):
        logits[0, 0, 0, 0] = wrong
        with pytest.raises(ShapeError, match="not all finite"):
            refined(FOUND, logits, images)


def test_a_layer_that_starts_from_settings_is_that_dense_crf():
    logits, images = scores_and_image()
    for costs in (None, (0.0, 1.0, 2.0), ((0.0, 1.0, 2.0), (1.0, 0.0, 0.5), (2.0, 0.5, 0.0))):
        dense = replace(FOUND, compatibility=costs)
        layer = CRFRNN.from_dense(dense, num_classes=3, num_test_steps=5).eval()
        assert torch.allclose(layer(logits, images).softmax(1), dense(logits, images), atol=1e-6)
    with pytest.raises(ConfigError, match="compatibility of 3 classes for a layer of 4"):
        CRFRNN.from_dense(FOUND, num_classes=4)
