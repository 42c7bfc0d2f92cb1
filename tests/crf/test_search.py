import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Gaussian, Spatial
from atrous.crf.search import Example, SearchResult, Trial, search_parameters, try_parameters
from atrous.errors import ConfigError, ShapeError

BOTH = DenseCRF(
    (Spatial(sigma=1, weight=1), Bilateral(sigma_xy=(4, 6), sigma_rgb=20, weight=2)),
    num_steps=3,
    normalization="after",
    compatibility=((0.0, 1.0, 1.0), (1.0, 0.0, 2.0), (1.0, 2.0, 0.0)),
)


def draw_examples(count: int = 3) -> tuple[list[Example], list[np.ndarray]]:
    """Noisy logits of colored blocks on grainy images, and the blocks."""
    generator = np.random.default_rng(0)
    examples, truths = [], []
    for _ in range(count):
        truth = np.kron(generator.integers(0, 3, (3, 4)), np.ones((5, 5), int))
        colors = 80 + 30 * truth[..., None] + 20 * generator.standard_normal((*truth.shape, 3))
        logits = 0.7 * np.eye(3)[truth] + generator.standard_normal((*truth.shape, 3))
        image = colors.astype(np.uint8)
        image.flags.writeable = False  # as Pillow's are
        examples.append((torch.from_numpy(logits).permute(2, 0, 1), image))
        truths.append(truth)
    return examples, truths


class Accuracy:
    """Share of right pixels; it counts how often it was asked."""

    def __init__(self, truths: list[np.ndarray]) -> None:
        self.truths = truths
        self.calls = 0

    def __call__(self, label_maps: list[np.ndarray]) -> float:
        self.calls += 1
        assert all(label_map.dtype == np.int64 for label_map in label_maps)
        rights = [label_map == truth for label_map, truth in zip(label_maps, self.truths, strict=True)]
        return float(np.mean(rights))


def label_maps_of(crf: DenseCRF, examples: Sequence[Example]) -> list[np.ndarray]:
    """One example at a time by the face that users call."""
    images = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for _, image in examples]
    pairs = zip(examples, images, strict=True)
    return [crf(logits[None], image[None])[0].argmax(0).numpy() for (logits, _), image in pairs]


@pytest.mark.slow
def test_the_grid_is_an_exhaustive_search_of_bandwidths_of_appearance_and_strengths_of_all():
    examples, truths = draw_examples()
    score = Accuracy(truths)
    spatial, _ = BOTH.kernels
    exhaustive = {}
    for xy, rgb, strength in itertools.product((0.5, 1, 2), (0.5, 1, 2), (1, 1 / 4, 1 / 16)):
        kernels = replace(spatial, weight=strength), Bilateral((4 * xy, 6 * xy), 20 * rgb, 2 * strength)
        crf = DenseCRF(kernels, 3, "after", BOTH.compatibility)
        exhaustive[crf] = score(label_maps_of(crf, examples))
    result = search_parameters(examples, score=score, start=BOTH, budget=27)
    assert {trial.crf: trial.score for trial in result.trials} == exhaustive
    assert result.score == max(exhaustive.values()) == exhaustive[result.crf]
    assert result.trials[0].crf == BOTH


def test_without_an_appearance_kernel_the_grid_is_of_all_parameters():
    examples, truths = draw_examples(1)
    start = DenseCRF([Spatial(sigma=2, weight=3, spacing=2)], num_steps=2)
    result = search_parameters(
        examples, score=Accuracy(truths), start=start, octaves=(1, -2), strengths=(1, -2), budget=9
    )
    expected = {(sigma, weight) for sigma in (2, 4, 0.5) for weight in (3, 6, 0.75)}
    kernels = [trial.crf.kernels[0] for trial in result.trials if trial.crf]
    assert len(kernels) == 9
    assert {(kernel.sigma, kernel.weight) for kernel in kernels if isinstance(kernel, Spatial)} == expected
    assert all(isinstance(kernel, Spatial) and kernel.spacing == 2 for kernel in kernels)


@pytest.mark.slow
def test_the_local_search_improves_on_the_grid_within_its_budget():
    examples, truths = draw_examples()
    on_grid = search_parameters(examples, score=Accuracy(truths), start=BOTH, budget=27)
    result = search_parameters(examples, score=Accuracy(truths), start=BOTH, budget=60)
    assert result.trials[:27] == on_grid.trials
    assert 27 < len(result.trials) <= 60
    assert result.score > on_grid.score > result.score_without
    assert result.helps
    assert result.score == max(trial.score for trial in result.trials)


def test_no_setting_is_tried_twice_and_the_search_ends_by_itself():
    examples, truths = draw_examples(1)
    score = Accuracy(truths)
    start = DenseCRF([Spatial(sigma=1, weight=1)], num_steps=2)
    result = search_parameters(examples, score=score, start=start, octaves=(), budget=10_000)
    crfs = [trial.crf for trial in result.trials]
    assert len(set(crfs)) == len(crfs) == score.calls - 1  # and once without a CRF
    (best,) = result.crf.kernels
    assert isinstance(best, Spatial)
    assert isinstance(best.sigma, float)
    for factor in (2**0.125, 2**-0.125):  # no neighbor at the finest step is better
        for kernel in (Spatial(best.sigma * factor, best.weight), Spatial(best.sigma, best.weight * factor)):
            crf = DenseCRF([kernel], num_steps=2)
            assert score(label_maps_of(crf, examples)) <= result.score


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "start"),
    [
        (4.0, 1.0),
        pytest.param(1.0, 6.0, marks=pytest.mark.slow),
        pytest.param(2 * 2**0.375, 2.0, marks=pytest.mark.slow),
    ],
)
def test_the_sigma_that_made_the_labels_is_found(sigma, start):
    examples, _ = draw_examples(8)
    truths = label_maps_of(DenseCRF([Spatial(sigma)], num_steps=3), examples)
    result = search_parameters(
        examples, score=Accuracy(truths), start=DenseCRF([Spatial(start)], num_steps=3), budget=60
    )
    (found,) = result.crf.kernels
    assert isinstance(found, Spatial)
    assert found.sigma == pytest.approx(sigma, rel=0.09)  # the finest step
    assert result.score > max(0.98, result.score_without + 0.03)


@pytest.mark.slow
def test_colors_that_tell_the_classes_apart_are_found():
    examples, truths = draw_examples()
    start = DenseCRF([Bilateral(sigma_xy=10, sigma_rgb=100, weight=5)], num_steps=5)
    result = search_parameters(examples, score=Accuracy(truths), start=start, octaves=(), budget=60)
    (found,) = result.crf.kernels
    assert isinstance(found, Bilateral)
    assert isinstance(found.sigma_rgb, float)
    assert found.sigma_rgb < 60  # gray levels; classes are 52 apart, 30 in each channel
    assert result.score > result.trials[0].score + 0.1


class Counted(Sequence):
    """Examples that count how often they are gone through."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples
        self.passes = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        return self.examples[index]

    def __iter__(self) -> Iterator[Example]:
        self.passes += 1
        return iter(self.examples)


def test_lattices_are_built_once_for_all_weights():
    examples, truths = draw_examples(1)
    counted = Counted(examples)
    result = search_parameters(counted, score=Accuracy(truths), start=BOTH, budget=27)
    assert len(result.trials) == 27
    assert counted.passes == 9 + 1  # pairs of bandwidths, and the score without a CRF


def test_it_says_so_where_no_crf_is_better():
    truth = np.indices((8, 8)).sum(0) % 2
    logits = torch.nn.functional.one_hot(torch.from_numpy(truth), 2).permute(2, 0, 1) * 1.0
    examples = [(logits, np.zeros((8, 8, 3), np.uint8))]
    start = DenseCRF([Spatial(sigma=3, weight=30)])
    result = search_parameters(
        examples, score=Accuracy([truth]), start=start, octaves=(), strengths=(), budget=2
    )
    assert result.score < result.score_without == 1
    assert not result.helps


def test_a_search_that_is_cut_off_has_what_it_tried_so_far():
    examples, truths = draw_examples(1)
    settings = {"score": Accuracy(truths), "start": BOTH, "octaves": (0, 1), "strengths": (-1,), "budget": 25}
    whole = search_parameters(examples, **settings)
    tried = list(itertools.islice(try_parameters(examples, **settings), 13))
    assert tried[0] == Trial(None, whole.score_without)
    so_far = SearchResult.of(tried)
    assert so_far.trials == whole.trials[:12]
    assert so_far.score == max(trial.score for trial in tried[1:])


def test_images_may_be_tensors_of_any_number_of_axes_and_channels():
    examples, truths = draw_examples(2)
    as_tensors = [(logits, torch.from_numpy(np.array(image)).permute(2, 0, 1)) for logits, image in examples]
    settings = {"score": Accuracy(truths), "start": BOTH, "octaves": (0,), "strengths": (0,), "budget": 9}
    assert search_parameters(as_tensors, **settings) == search_parameters(examples, **settings)
    for size in ((9,), (3, 4, 5)):
        logits, image = torch.randn(3, *size), torch.randint(0, 256, (2, *size))
        truth = logits.argmax(0).numpy()
        start = DenseCRF([Bilateral(sigma_xy=2, sigma_rgb=20)], num_steps=1)
        settings = {
            "score": Accuracy([truth]),
            "start": start,
            "octaves": (0,),
            "strengths": (0,),
            "budget": 2,
        }
        assert search_parameters([(logits, image)], **settings).score_without == 1


def test_more_classes_than_a_byte_counts_keep_their_numbers():
    truth = np.arange(300).reshape(15, 20)
    logits = 9.0 * torch.nn.functional.one_hot(torch.from_numpy(truth), 300).permute(2, 0, 1)
    start = DenseCRF([Spatial(sigma=0.1)])
    examples = [(logits, np.zeros((15, 20, 3), np.uint8))]
    result = search_parameters(
        examples, score=Accuracy([truth]), start=start, octaves=(), strengths=(), budget=1
    )
    assert result.score == result.score_without == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"examples": []}, "no examples"),
        ({"budget": 26}, "a grid of 27 settings exceeds the budget of 26"),
        ({"start": DenseCRF([Gaussian(torch.zeros(1, 15, 20))])}, "Gaussian kernel has no bandwidths"),
        ({"start": DenseCRF([Spatial(weight=0)])}, "the weight 0"),
        ({"score": lambda _: float("nan")}, "score is NaN"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(settings, message):
    examples, truths = draw_examples(1)
    with pytest.raises(ConfigError, match=message):
        search_parameters(**{"examples": examples, "score": Accuracy(truths), **settings})


def test_an_image_of_another_size_is_refused():
    (logits, image), *_ = draw_examples(1)[0]
    with pytest.raises(ShapeError, match="do not fit"):
        search_parameters([(logits, image[1:])], score=lambda _: 0.0)
