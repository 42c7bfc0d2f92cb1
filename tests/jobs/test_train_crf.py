"""The stage that trains a network and a CRF-RNN end to end."""

from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import load_checkpoint, save_checkpoint
from atrous.config import load_toml
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import crf_of, with_crf
from atrous.data.open import open_dataset
from atrous.errors import ConfigError
from atrous.evaluation.evaluate import evaluate
from atrous.inference.predictor import Predictor
from atrous.jobs.crf_settings import CRFSettings
from atrous.jobs.crf_training import RefinedNetwork
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig, run, train
from atrous.models.catalog import build_network, load_network
from atrous.models.frontend import FrontEnd, Head
from atrous.ops.pad import pad_reflect
from atrous.ops.resample import upsample_logits
from atrous.training.settings import Stage
from jobs.runs import AUGMENTED, PLAIN, advance, assert_same, resumed

SETTINGS = CRFSettings(sigma_xy=6.0, sigma_rgb=20.0, spatial_weight=1.0, num_steps=2)
STAGE = replace(AUGMENTED, num_steps=3, learning_rate=1e-3, new_layers_factor=100.0)


@pytest.fixture
def config(tiny_data, tmp_path):
    """A front end, then end to end."""
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact",
        device="cpu",
        precision="float32",
        save_every=2,
        front_end=PLAIN,
        crf_rnn=STAGE,
        crf=SETTINGS,
    )


def learned(path):
    """The CRF in a checkpoint."""
    crf = crf_of(load_checkpoint(path), num_classes=3)
    assert isinstance(crf, CRFRNN)
    return crf


@pytest.mark.slow
def test_the_stage_trains_network_and_crf_and_stores_both(config):
    result = train(config)
    crf = learned(result.checkpoint)
    assert [type(kernel) for kernel in crf.kernels] == [Spatial, Bilateral]
    assert crf.kernels[1] == Bilateral(sigma_xy=6.0, sigma_rgb=20.0, weight=5.0)  # 5.0 is CRF-RNN's
    assert (crf.num_steps, crf.num_test_steps, crf.normalization) == (2, 10, "after")
    started = CRFRNN(num_classes=3, kernels=crf.kernels)
    assert not torch.equal(crf.kernel_weights, started.kernel_weights)
    assert not torch.equal(crf.compatibility, started.compatibility)
    before = load_network(config.output / "front_end.safetensors").state_dict()
    after = load_network(config.output / "crf_rnn.safetensors").state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not load_checkpoint(config.output / "front_end.safetensors").crf
    assert load_toml(config.output / "recipe.toml", TrainConfig).crf == SETTINGS


@pytest.mark.slow
def test_validation_and_prediction_refine_by_the_learned_crf(config):
    result = train(config)
    val_set = open_dataset(config.data, "val")
    predictor = Predictor(result.checkpoint, device="cpu")
    assert isinstance(predictor.crf, CRFRNN)
    assert evaluate(predictor, val_set).to_dict() == result.scores["crf_rnn"].to_dict()
    image = val_set[0].image
    without = Predictor(result.checkpoint, device="cpu", crf=None)(image)
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    with torch.no_grad():  # whose softmax rounds otherwise, see test_inference_steps.py
        refined = learned(result.checkpoint)(without.logits[None], pixels)
    assert torch.equal(predictor(image).logits, refined[0])
    assert not torch.equal(refined[0], without.logits)


@pytest.mark.slow
@pytest.mark.parametrize("ema_decay", [pytest.param(0.0, marks=pytest.mark.slow), 0.6])
def test_a_run_stopped_in_the_stage_and_resumed_is_the_uninterrupted_one_bit_for_bit(config, ema_decay):
    whole = replace(config, crf_rnn=replace(STAGE, optimizer="adamw", ema_decay=ema_decay))
    train(whole)
    broken = replace(whole, output=config.output.with_name("broken"))
    advance(broken, "front_end", 3)
    advance(resumed(broken), "crf_rnn", 2)
    train(resumed(broken))
    assert_same(broken.output, whole.output)


@pytest.mark.slow
def test_a_frozen_network_keeps_its_weights_while_the_crf_learns(config):
    train(replace(config, crf_rnn=replace(STAGE, frozen=("network.",))))
    before = load_network(config.output / "front_end.safetensors").state_dict()
    after = load_network(config.output / "crf_rnn.safetensors").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    crf = learned(config.output / "model.safetensors")
    assert not torch.equal(crf.compatibility, 1 - torch.eye(3))


def said(config):
    return [progress.message for progress in run(config) if progress.message]


def with_stored(path, crf):
    """The file with a CRF in it."""
    save_checkpoint(path, with_crf(load_checkpoint(path), crf))
    return path


ALONE = {"front_end": Stage(), "crf": CRFSettings()}


@pytest.mark.slow
def test_training_goes_on_from_the_crf_of_the_starting_weights(config, tiny_checkpoint):
    torch.manual_seed(1)
    crf = CRFRNN(num_classes=3, kernels=[Spatial(2, 1)], num_steps=1, num_test_steps=3)
    torch.nn.init.normal_(crf.compatibility)
    barely = replace(STAGE, num_steps=1, learning_rate=1e-12)
    alone = replace(config, **ALONE, init=with_stored(tiny_checkpoint, crf), crf_rnn=barely)
    train(alone)
    trained = learned(config.output / "model.safetensors")
    assert trained.to_dict() == crf.to_dict()
    assert torch.allclose(trained.compatibility, crf.compatibility)
    with pytest.raises(ConfigError, match="carries a learned CRF, which keeps its own settings"):
        train(replace(alone, output=config.output.with_name("other"), crf=SETTINGS))


@pytest.mark.slow
def test_training_starts_from_settings_that_the_starting_weights_carry(config, tiny_checkpoint):
    found = DenseCRF([Spatial(2, 1.5)], num_steps=7, normalization="before")
    init = with_stored(tiny_checkpoint, found)
    train(replace(config, **ALONE, init=init))
    crf = learned(config.output / "model.safetensors")
    assert crf.kernels == found.kernels
    assert (crf.num_steps, crf.normalization) == (5, "before")


@pytest.mark.slow
def test_a_crf_that_no_stage_trains_is_left_out_aloud(config, tiny_checkpoint):
    init = with_stored(tiny_checkpoint, DenseCRF())
    messages = said(replace(config, init=init, crf_rnn=Stage(), crf=CRFSettings()))
    assert any("the CRF that" in message and "is left out" in message for message in messages)


def test_settings_without_a_stage_are_refused():
    with pytest.raises(ConfigError, match="no stage trains a CRF"):
        TrainConfig(crf=SETTINGS)


def test_the_loss_is_on_every_pixel(config):
    with pytest.raises(ConfigError, match="crf_rnn: loss_stride 2 is beyond the output stride"):
        train(replace(config, crf_rnn=replace(STAGE, loss_stride=2)))


def thin_front_end():
    """The authors' front end, with its margin of 186 px, on few channels at the top."""
    return FrontEnd(3, head=Head(channels=8, kernel_size=7, dilation=4))


@pytest.mark.parametrize(
    "build",
    [lambda: build_network("compact", num_classes=3), pytest.param(thin_front_end, marks=pytest.mark.slow)],
)
def test_the_module_is_network_upsampling_and_crf_on_the_raw_image(build):
    torch.manual_seed(0)
    network = build()
    crf = CRFRNN(num_classes=3, kernels=[Bilateral(4, 10, 2)], num_steps=2)
    raw = torch.randint(0, 256, (2, 3, 20, 28)).float()
    margin = network.margin
    normalized = pad_reflect(network.normalization.apply(raw), [(margin, margin)] * 2)
    module = RefinedNetwork(network, crf).eval()
    logits = upsample_logits(
        network(normalized), (20, 28), stride=network.output_stride, center=network.center
    )
    assert torch.allclose(module(normalized), crf(logits, raw), atol=1e-3)


def test_the_plan_hands_the_crf_to_its_stage_only(config):
    network = build_network("compact", num_classes=3)
    crf = CRFRNN(num_classes=3, kernels=[Spatial()])
    first, last = plan_stages(config, network, None, crf)
    assert (first.crf, last.crf) == (None, crf)
    assert last.new_layers == ("crf.",)
    assert (last.subject, first.subject) == (network, network)
