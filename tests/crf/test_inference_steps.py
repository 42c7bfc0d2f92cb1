"""Mean field against loops over pixels and labels, with the filter of all pairs; then with the lattice."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.crf import inference_steps
from atrous.crf.filters import Normalization, build_exact
from atrous.crf.inference_steps import build_filters, mean_field, refine_logits
from atrous.crf.kernels import Bilateral, Gaussian, Spatial
from atrous.errors import ShapeError
from crf import references
from crf.scenes import KERNELS, scene

NORMALIZATIONS = ("symmetric", "before", "after", "none")
SIZES = ((24,), (8, 9), (3, 4, 5))


def costs_of(compatibility, num_classes):
    """What a compatibility means, as a matrix of costs."""
    if compatibility is None:
        return 1 - np.eye(num_classes)
    return np.diag(compatibility) if compatibility.ndim == 1 else compatibility.numpy()


def exact(
    logits, images, kernels, normalization: Normalization = "symmetric", compatibility=None, num_steps=10
):
    filters = build_filters(logits, images, kernels=kernels, normalization=normalization, build=build_exact)
    weights = logits.new_tensor([kernel.weight for kernel in kernels])
    refined = refine_logits(
        logits, filters, weights=weights, compatibility=compatibility, num_steps=num_steps
    )
    return refined.softmax(1)


def by_loops(logits, images, kernels, normalization, compatibility, num_steps):
    matrices = [
        references.normalized(
            references.gaussian_matrix(kernel.features(logits, images)[0].numpy()), normalization
        )
        for kernel in kernels
    ]
    weights = [kernel.weight for kernel in kernels]
    costs = costs_of(compatibility, logits.shape[1])
    rows = logits[0].flatten(1).T.numpy()
    probabilities = references.mean_field(rows, matrices, weights, costs, num_steps)
    return probabilities.T.reshape(logits.shape[1:])


@pytest.mark.parametrize("compatibility", ["potts", "matrix", "vector"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("spatial", SIZES)
def test_mean_field_is_the_algorithm_line_by_line(spatial, normalization, compatibility):
    logits, images = scene(spatial)
    generator = torch.Generator().manual_seed(1)
    given = {
        "potts": None,
        "matrix": torch.randn(3, 3, generator=generator, dtype=torch.float64),  # not symmetric
        "vector": torch.randn(3, generator=generator, dtype=torch.float64),
    }[compatibility]
    found = exact(logits, images, KERNELS, normalization, given, num_steps=4)
    expected = by_loops(logits, images, KERNELS, normalization, given, num_steps=4)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_mean_field_is_the_algorithm_on_24_by_24_pixels():
    logits, images = scene((24, 24), num_classes=2)
    found = exact(logits, images, KERNELS, num_steps=2)
    expected = by_loops(logits, images, KERNELS, "symmetric", None, num_steps=2)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("spatial", SIZES)
def test_mean_field_on_the_lattice_is_the_algorithm_with_the_lattice(spatial):
    logits, images = scene(spatial)
    kernels = (*KERNELS, Gaussian(torch.rand(2, *spatial, dtype=torch.float64), 0.7))
    matrices = [
        references.normalized(
            references.lattice_matrix(kernel.features(logits, images)[0].numpy()), "symmetric"
        )
        for kernel in kernels
    ]
    rows = logits[0].flatten(1).T.numpy()
    weights = [kernel.weight for kernel in kernels]
    expected = references.mean_field(rows, matrices, weights, 1 - np.eye(3), 5)
    found = mean_field(logits, images, kernels=kernels, num_steps=5)
    np.testing.assert_allclose(found[0].flatten(1).T, expected, rtol=0, atol=1e-10)


def test_lattice_and_all_pairs_agree_on_labels():
    generator = torch.Generator().manual_seed(0)
    truth = torch.kron(torch.randint(0, 3, (3, 3), generator=generator), torch.ones(8, 8, dtype=torch.long))
    images = (truth * 90 + torch.randint(0, 30, (24, 24), generator=generator)).float()[None, None]
    logits = torch.nn.functional.one_hot(truth).permute(2, 0, 1)[None].double()
    logits += torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    approximate, true = mean_field(logits, images, kernels=KERNELS), exact(logits, images, KERNELS)
    assert (approximate.argmax(1) == true.argmax(1)).double().mean() > 0.99
    assert (logits.argmax(1) != truth).sum() > 10 * (approximate.argmax(1) != truth).sum()  # and it helps


@given(
    spatial=st.one_of(
        st.tuples(st.integers(1, 9)),
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        st.tuples(*[st.integers(1, 4)] * 3),
    ),
    num_classes=st.integers(1, 5),
    batch=st.integers(1, 3),
    normalization=st.sampled_from(NORMALIZATIONS),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
@pytest.mark.slow
def test_probabilities_sum_to_one_and_images_do_not_mix(spatial, num_classes, batch, normalization, seed):
    logits, images = scene(spatial, num_classes, batch, seed=seed)
    together = mean_field(logits, images, kernels=KERNELS, normalization=normalization)
    assert together.shape == logits.shape
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-12)
    for index in range(batch):
        one = slice(index, index + 1)
        alone = mean_field(logits[one], images[one], kernels=KERNELS, normalization=normalization)
        np.testing.assert_allclose(together[one], alone, rtol=0, atol=1e-15)


@given(order=st.permutations(range(4)), seed=st.integers(0, 99))
@settings(max_examples=20)
@pytest.mark.slow
def test_permuted_classes_give_permuted_probabilities(order, seed):
    logits, images = scene((6, 7), num_classes=4, seed=seed)
    costs = torch.rand(4, 4, dtype=torch.float64)
    straight = mean_field(logits, images, kernels=KERNELS, compatibility=costs)
    permuted = mean_field(logits[:, order], images, kernels=KERNELS, compatibility=costs[order][:, order])
    np.testing.assert_allclose(permuted, straight[:, order], atol=1e-12)


@pytest.mark.slow
@given(constant=st.floats(-30, 30), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_what_is_added_to_all_scores_of_a_pixel_has_no_effect(constant, seed):
    logits, images = scene((5, 6), seed=seed)
    straight = mean_field(logits, images, kernels=KERNELS)
    np.testing.assert_allclose(mean_field(logits + constant, images, kernels=KERNELS), straight, atol=1e-12)


def test_potts_is_one_less_the_identity_and_minus_the_identity_and_minus_ones():
    logits, images = scene((9, 8))
    potts = mean_field(logits, images, kernels=KERNELS, normalization="after")
    identity = torch.eye(3, dtype=torch.float64)
    for costs in (1 - identity, -identity, -torch.ones(3, dtype=torch.float64)):
        same = mean_field(logits, images, kernels=KERNELS, normalization="after", compatibility=costs)
        np.testing.assert_allclose(same, potts, atol=1e-12)


def test_compatibility_is_the_cost_of_the_row_beside_the_column():
    logits = torch.zeros(1, 2, 9, dtype=torch.float64)
    logits[0, 1, 4:] = 5  # class 1 stands on the right, the left is undecided
    costs = torch.tensor([[0.0, 4.0], [0.0, 0.0]], dtype=torch.float64)  # class 0 does not like that
    refined = mean_field(logits, kernels=[Spatial(3, 2)], compatibility=costs, num_steps=1)
    assert (refined[0, 0, :4] < 0.5).all()
    mirrored = mean_field(logits, kernels=[Spatial(3, 2)], compatibility=costs.T, num_steps=1)
    assert (mirrored[0, 1, :4] < 0.5).all()  # now class 1 does not like class 0


@pytest.mark.parametrize("level", [0, 77])
def test_on_an_image_of_one_color_bilateral_is_spatial(level):
    logits, _ = scene((9, 10))
    images = torch.full((1, 3, 9, 10), level, dtype=torch.uint8)
    bilateral = exact(logits, images, [Bilateral(4.0, 13.0, 5.0)])
    spatial = exact(logits, None, [Spatial(4.0, 5.0)])
    np.testing.assert_allclose(bilateral, spatial, atol=1e-12)


def test_on_a_lattice_too_as_far_as_it_approximates():
    logits, _ = scene((20, 20))
    images = torch.zeros(1, 1, 20, 20)
    bilateral = mean_field(logits, images, kernels=[Bilateral(4.0, 13.0, 2.0)], num_steps=3)
    spatial = mean_field(logits, kernels=[Spatial(4.0, 2.0)], num_steps=3)
    assert (bilateral - spatial).abs().max() < 0.05


def test_without_steps_or_weight_the_softmax_remains():
    logits, images = scene((5, 5))
    silent = [Spatial(3, 0.0), Bilateral(80, 13, 0.0)]
    unrefined = mean_field(logits, images, kernels=KERNELS, num_steps=0)
    np.testing.assert_allclose(unrefined, logits.softmax(1), atol=1e-15)
    np.testing.assert_allclose(mean_field(logits, images, kernels=silent), logits.softmax(1), atol=1e-15)


def test_one_class_is_certain():
    logits, images = scene((4, 5), num_classes=1)
    assert (mean_field(logits, images, kernels=KERNELS) == 1).all()


def test_one_pixel_hears_only_itself():
    logits, images = scene((1, 1))
    refined = mean_field(logits, images, kernels=[Spatial(3, 2.0)], num_steps=1)
    np.testing.assert_allclose(refined, (logits + 2 * logits.softmax(1)).softmax(1), atol=1e-12)


def test_volumes_with_thick_slices_are_smoothed_by_millimeters():
    logits, _ = scene((4, 5, 6))
    in_millimeters = mean_field(logits, kernels=[Spatial(6.0, 2.0, spacing=(3.0, 1.0, 1.5))])
    in_voxels = mean_field(logits, kernels=[Spatial((2.0, 6.0, 4.0), 2.0)])
    np.testing.assert_allclose(in_millimeters, in_voxels, atol=1e-12)


def test_single_precision_stays_single_and_half_becomes_single():
    logits, images = scene((8, 8))
    expected = mean_field(logits, images, kernels=KERNELS, num_steps=3)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        refined = mean_field(logits.to(dtype), images, kernels=KERNELS, num_steps=3)
        assert refined.dtype == torch.float32
        np.testing.assert_allclose(refined, expected, atol=1e-4 if dtype == torch.float32 else 0.1)


@pytest.mark.parametrize("value", [1e4, 1e30])
def test_certain_scores_give_no_nan(value):
    logits, images = scene((6, 6))
    refined = mean_field((value * logits).float(), images, kernels=KERNELS)
    assert refined.isfinite().all()


def test_scores_that_overflow_are_refused():
    logits, images = scene((6, 6))
    with pytest.raises(ShapeError, match="scores overflow; give smaller"):
        mean_field(logits.float(), images, kernels=[Spatial(3, 3e38), Spatial(3, 3e38)])


@pytest.mark.slow
def test_gradients_reach_logits_weights_and_compatibility():
    logits, images = scene((3, 4), num_classes=3)
    generator = torch.Generator().manual_seed(2)
    inputs = [
        logits.requires_grad_(),
        torch.rand(2, 3, generator=generator, dtype=torch.float64, requires_grad=True),
        torch.rand(3, 3, generator=generator, dtype=torch.float64, requires_grad=True),
    ]
    for normalization in NORMALIZATIONS:
        for build in (inference_steps.build_lattice, build_exact):
            filters = build_filters(logits, images, kernels=KERNELS, normalization=normalization, build=build)

            def refined(logits, weights, compatibility, filters=filters):
                return refine_logits(
                    logits, filters, weights=weights, compatibility=compatibility, num_steps=3
                )

            assert torch.autograd.gradcheck(refined, inputs)


@pytest.mark.slow
def test_gradient_of_the_public_function_reaches_logits_and_a_vector():
    logits, images = scene((3, 4), num_classes=3)
    vector = -torch.rand(3, dtype=torch.float64)

    def refined(logits, vector):
        return mean_field(logits, images, kernels=KERNELS, compatibility=vector, num_steps=2)

    assert torch.autograd.gradcheck(refined, (logits.requires_grad_(), vector.requires_grad_()))


@pytest.mark.parametrize("compatibility", [None, torch.rand(3), torch.rand(3, 3)])
@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_with_and_without_gradients_the_result_is_the_same(monkeypatch, num_steps, compatibility):
    monkeypatch.setattr(inference_steps, "PIXELS_AT_ONCE", 17)
    logits, images = scene((8, 9), batch=2)
    logits = logits.float()
    filters = build_filters(logits, images, kernels=KERNELS)
    results = [
        refine_logits(
            logits.detach().requires_grad_(learned),
            filters,
            weights=torch.tensor([1.0, 2.0]),
            compatibility=compatibility,
            num_steps=num_steps,
        )
        for learned in (False, True)
    ]
    np.testing.assert_allclose(results[0], results[1].detach(), atol=1e-5)


def test_arguments_are_left_as_they_were():
    logits, images = scene((8, 9))
    copies = logits.clone(), images.clone()
    channels_last = logits.movedim(1, -1).contiguous().movedim(-1, 1)  # rows of classes, used without a copy
    for num_steps in (0, 3):
        mean_field(channels_last, images, kernels=KERNELS, num_steps=num_steps)
    assert torch.equal(channels_last, copies[0])
    assert torch.equal(images, copies[1])
