"""The permutohedral lattice against one made of a dictionary, and against all pairs of pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.crf.filters import Filter, build_exact
from atrous.crf.lattice_assembly import build_lattice
from atrous.errors import ShapeError
from crf.references import gaussian_matrix, lattice_matrix, normalized

NORMALIZATIONS = ("symmetric", "before", "after", "none")


def dense(gaussian, num_pixels, weights=(1.0,)):
    """The matrix of a filter, column by column."""
    weights = torch.tensor(weights, dtype=torch.float64)
    ones = torch.eye(num_pixels, dtype=torch.float64)
    return gaussian.slice(gaussian.splat(ones, weights=weights))


def points(num_dims, num_points, spread=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(num_dims, num_points, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("num_dims", [1, 2, 3, 5, 7])
def test_lattice_is_the_dictionary_of_vertices(num_dims, normalization):
    features = points(num_dims, 60)
    lattice = build_lattice([features], normalization=normalization)
    expected = normalized(lattice_matrix(features.numpy()), normalization)
    np.testing.assert_allclose(dense(lattice, 60), expected, rtol=0, atol=1e-12)


def test_kernels_add_up_with_their_weights():
    features = [points(2, 50), points(5, 50, seed=1), points(1, 50, seed=2)]
    both = dense(build_lattice(features, normalization="after"), 50, weights=(2.0, -3.0, 0.5))
    alone = [dense(build_lattice([one], normalization="after"), 50) for one in features]
    np.testing.assert_allclose(both, 2 * alone[0] - 3 * alone[1] + 0.5 * alone[2], atol=1e-13)


def test_weights_may_differ_by_class():
    features = [points(2, 40), points(3, 40, seed=1)]
    lattice = build_lattice(features, normalization="symmetric")
    values = torch.rand(40, 3, dtype=torch.float64)
    weights = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
    sums = lattice.slice(lattice.splat(values, weights=weights))
    for label in range(3):
        one = lattice.splat(values[:, label : label + 1].contiguous(), weights=weights[:, label])
        np.testing.assert_allclose(sums[:, label], lattice.slice(one)[:, 0], atol=1e-14)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_is_the_transpose(normalization):
    lattice = build_lattice([points(2, 30), points(4, 30, seed=1)], normalization=normalization)
    matrix = dense(lattice, 30, weights=(2.0, 3.0))
    values = torch.rand(30, 4, dtype=torch.float64, requires_grad=True)
    outer = torch.rand(30, 4, dtype=torch.float64)
    weights = torch.tensor([2.0, 3.0], dtype=torch.float64)
    lattice.slice(lattice.splat(values, weights=weights)).backward(outer)
    assert values.grad is not None
    np.testing.assert_allclose(values.grad, matrix.T @ outer, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients_reach_values_weights_and_base(normalization):
    lattice = build_lattice([points(2, 12), points(3, 12, seed=1)], normalization=normalization)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.rand(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in [(12, 2), (2,), (12, 2)]
    ]

    def filtered(values, weights, base):
        return lattice.slice(lattice.splat(values, weights=weights), base=base)

    assert torch.autograd.gradcheck(filtered, inputs)
    assert torch.autograd.gradgradcheck(filtered, inputs)


def test_parts_of_the_pixels_are_parts_of_the_whole():
    lattice = build_lattice([points(2, 50), points(5, 50, seed=1)], normalization="symmetric")
    values, base = torch.rand(2, 50, 3, dtype=torch.float64)
    splatted = lattice.splat(values, weights=torch.ones(2, dtype=torch.float64))
    whole = lattice.slice(splatted, base=base)
    for pixels in (slice(0, 7), slice(7, 50), slice(48, 99)):
        part = lattice.slice(splatted, base=base[pixels], pixels=pixels)
        assert torch.equal(part, whole[pixels])


def test_both_filters_have_the_face_that_mean_field_needs():
    for build in (build_lattice, build_exact):
        assert isinstance(build([points(2, 9)], normalization="none"), Filter)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_exact_filter_is_the_definition(normalization):
    features = points(3, 40)
    exact = dense(build_exact([features], normalization=normalization), 40)
    expected = normalized(gaussian_matrix(features.numpy()), normalization)
    np.testing.assert_allclose(exact, expected, atol=1e-14)


def test_exact_filter_sees_small_distances_far_from_zero():
    features = torch.tensor([[1e8, 1e8 + 1]], dtype=torch.float64)
    assert dense(build_exact([features], normalization="none"), 2)[0, 1] == pytest.approx(np.exp(-0.5))


def test_lattice_is_near_the_gaussian():
    axes = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    features = torch.stack(axes).flatten(1).double() / 3
    values = torch.rand(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.ones(1, dtype=torch.float64)
    results = []
    for build in (build_lattice, build_exact):
        gaussian = build([features], normalization="after")
        results.append(gaussian.slice(gaussian.splat(values, weights=weights)))
    assert (results[0] - results[1]).abs().max() < 0.05  # of values between 0 and 1
    assert (results[0] - results[1]).abs().mean() < 0.01


@settings(max_examples=30)
@given(
    num_dims=st.integers(1, 6),
    num_points=st.integers(1, 600),
    spread=st.sampled_from([0.0, 1e-9, 0.3, 5.0, 1e3, 1e6]),
    shift=st.sampled_from([0.0, -7.25, 1e5]),
)
def test_ones_become_ones_wherever_points_lie(num_dims, num_points, spread, shift):
    features = points(num_dims, num_points, spread) + shift
    lattice = build_lattice([features], normalization="after")
    weights = torch.ones(1, dtype=torch.float64)
    filtered = lattice.slice(lattice.splat(torch.ones(num_points, 1, dtype=torch.float64), weights=weights))
    np.testing.assert_allclose(filtered, 1, rtol=1e-9)


@pytest.mark.parametrize("spread", [0.0, 1.0, 1e3, 1e6])
def test_single_precision_takes_wild_points_too(spread):
    features = [points(5, 500, spread).float(), points(2, 500).float()]
    lattice = build_lattice(features, normalization="after")
    assert lattice.up.values.dtype == torch.float32
    filtered = lattice.slice(lattice.splat(torch.ones(500, 1), weights=torch.ones(2)))
    np.testing.assert_allclose(filtered, 2, rtol=1e-4)
    assert lattice.up.values.min() > -1e-3


def test_points_far_apart_keep_to_themselves():
    features = 100.0 * torch.arange(3000, dtype=torch.float64)[None].repeat(5, 1)
    lattice = build_lattice([features], normalization="symmetric")
    assert lattice.downs[0].num_rows == 3000 * 6  # the table grew several times and confused no two keys
    values = torch.rand(3000, 2, dtype=torch.float64)
    filtered = lattice.slice(lattice.splat(values, weights=torch.ones(1, dtype=torch.float64)))
    np.testing.assert_allclose(filtered, values, atol=1e-12)


def test_equal_points_share_one_simplex():
    lattice = build_lattice([torch.full((4, 500), 0.3)], normalization="after")
    assert lattice.downs[0].num_rows == 5
    values = torch.rand(500, 2)
    filtered = lattice.slice(lattice.splat(values, weights=torch.ones(1)))
    np.testing.assert_allclose(filtered, values.mean(0).expand(500, 2), rtol=1e-5)


def test_building_does_not_depend_on_threads():
    features = [points(2, 3000), points(5, 3000, seed=1)]
    before = torch.get_num_threads()
    try:
        lattices = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            lattices.append(build_lattice(features, normalization="symmetric"))
    finally:
        torch.set_num_threads(before)
    for name in ("starts", "columns", "values"):
        assert torch.equal(*(getattr(lattice.up, name) for lattice in lattices))
        assert torch.equal(*(getattr(lattice.downs[1], name) for lattice in lattices))


def test_single_precision_agrees_with_double():
    features = points(3, 500)
    values = torch.rand(500, 3, dtype=torch.float64)
    results = []
    for dtype in (torch.float32, torch.float64):
        lattice = build_lattice([features.to(dtype)], normalization="symmetric")
        results.append(lattice.slice(lattice.splat(values.to(dtype), weights=torch.ones(1, dtype=dtype))))
    assert results[0].dtype == torch.float32
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


@pytest.mark.parametrize("build", [build_lattice, build_exact])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_must_be_finite(build, value):
    features = torch.zeros(2, 5)
    features[1, 3] = value
    with pytest.raises(ShapeError, match="not all finite"):
        build([features], normalization="none")


def test_lattice_refuses_features_beyond_its_keys():
    with pytest.raises(ShapeError, match=r"features reach 1e\+09 bandwidths.*give larger sigmas"):
        build_lattice([torch.full((2, 5), 1e9)], normalization="none")


def test_lattice_takes_features_up_to_its_bound():
    features = points(5, 50, spread=1e6).clamp(-3e7, 3e7)
    features[:, 0], features[:, 1] = 3e7, -3e7
    filtered = dense(build_lattice([features], normalization="symmetric"), 50)
    np.testing.assert_allclose(filtered, torch.eye(50), atol=1e-6)


def test_lattice_refuses_more_entries_than_indices_count():
    with pytest.raises(ShapeError, match="are too many for one lattice"):
        build_lattice([torch.zeros(1, 1).expand(2000, 1 << 21)], normalization="none")


def test_exact_filter_refuses_large_images():
    with pytest.raises(ShapeError, match="16385 pixels make too many pairs; use build_lattice"):
        build_exact([torch.zeros(1, 16385)], normalization="none")
