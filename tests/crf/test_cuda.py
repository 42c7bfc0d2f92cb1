"""The same code on a GPU: what it gives there is what it gives on the CPU."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.rnn import CRFRNN

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def example():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 40, 50, generator=generator)
    images = torch.randint(0, 256, (2, 3, 40, 50), generator=generator, dtype=torch.uint8)
    return logits, images, logits.argmax(1)


def test_a_dense_crf_on_the_gpu_is_that_on_the_cpu():
    logits, images, _ = example()
    there = DenseCRF()(logits.cuda(), images.cuda())
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), DenseCRF()(logits, images), rtol=0, atol=1e-4)


def test_a_layer_learns_on_the_gpu_as_on_the_cpu():
    logits, images, labels = example()
    gradients = []
    for device in ("cpu", "cuda"):
        layer = CRFRNN(num_classes=5, kernels=DenseCRF().kernels).to(device)
        cross_entropy(layer(logits.to(device), images.to(device)), labels.to(device)).backward()
        assert layer.kernel_weights.grad is not None
        assert layer.compatibility.grad is not None
        gradients.append((layer.kernel_weights.grad.cpu(), layer.compatibility.grad.cpu()))
    for here, there in zip(*gradients, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-5)
