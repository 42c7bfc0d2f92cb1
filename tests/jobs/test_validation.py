import torch
from lightning_fabric import Fabric

from atrous.data.open import open_dataset
from atrous.evaluation.evaluate import evaluate
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import drain
from atrous.jobs.validation import validate
from atrous.models.catalog import build_network


def test_validation_gives_the_scores_of_evaluate_and_leaves_the_network_as_it_was(tiny_data):
    torch.manual_seed(0)
    network = build_network("compact_context", num_classes=3).train()
    front_end, context = network.get_submodule("front_end").eval(), network.get_submodule("context")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fabric = Fabric(accelerator="cpu", devices=1)
    dataset = open_dataset(tiny_data, "val")
    scores = drain(validate(network, dataset, fabric=fabric, precision="float32"))
    assert scores is not None
    expected = evaluate(Predictor(network, label_set=dataset.label_set, device="cpu"), dataset)
    assert scores.to_dict() == expected.to_dict()
    assert (network.training, context.training, front_end.training) == (True, True, False)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_validation_says_how_far_it_is(tiny_data):
    network = build_network("compact", num_classes=3)
    fabric = Fabric(accelerator="cpu", devices=1)
    job = validate(network, open_dataset(tiny_data, "val"), fabric=fabric, precision="float32")
    assert [(progress.done, progress.total, progress.part) for progress in job] == [
        (1, 2, "validation"),
        (2, 2, "validation"),
    ]
