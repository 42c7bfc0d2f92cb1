"""Settings that papers and the usual packages give their CRFs."""

import torch

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.inference_steps import mean_field
from atrous.crf.kernels import Bilateral, Spatial, from_crfasrnn, from_pydensecrf
from atrous.crf.rnn import CRFRNN
from atrous.jobs.crf_training import USUAL


def test_the_usual_dense_crf():
    usual = DenseCRF()  # pydensecrf's examples
    assert usual.kernels == (Spatial(sigma=3, weight=3), Bilateral(sigma_xy=80, sigma_rgb=13, weight=10))
    assert (usual.num_steps, usual.normalization) == (10, "symmetric")  # Krähenbühl & Koltun's code


def test_crf_rnn_of_zheng_et_al_2015():
    assert from_crfasrnn() == (Spatial(sigma=3, weight=3), Bilateral(sigma_xy=160, sigma_rgb=3, weight=5))
    layer = CRFRNN(num_classes=21, kernels=from_crfasrnn())
    assert (layer.num_steps, layer.num_test_steps) == (5, 10)  # section 6: in training and in test
    assert layer.normalization == "after"
    assert (USUAL.kernels, USUAL.num_steps, USUAL.normalization) == (layer.kernels, 5, "after")


def test_deeplab_v2_in_the_names_of_pydensecrf():
    deeplab = from_pydensecrf(
        sxy_gaussian=1, compat_gaussian=3, sxy_bilateral=67, srgb=3, compat_bilateral=4
    )  # 10 steps; its released code
    assert deeplab == (Spatial(sigma=1, weight=3), Bilateral(sigma_xy=67, sigma_rgb=3, weight=4))


def test_potts_is_a_cost_of_unlike_labels_or_a_reward_of_like_ones():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 4, 6, 7, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 256, (1, 3, 6, 7), generator=generator)
    kernels = DenseCRF().kernels
    potts = mean_field(logits, images, kernels=kernels)  # Krähenbühl & Koltun 2011, section 2
    for costs in (1 - torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)):
        explicit = mean_field(logits, images, kernels=kernels, compatibility=costs)
        torch.testing.assert_close(explicit, potts, rtol=0, atol=1e-12)
