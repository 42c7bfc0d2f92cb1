"""The proof can fail, and names where."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from atrous.errors import SurgeryError
from atrous.surgery.changes import Change, Drop, Pool
from atrous.surgery.convolutions import Dilate
from atrous.surgery.plan import Surgery, plan_surgery
from atrous.surgery.verify import verify
from atrous.surgery.windows import DenseAxis
from surgery.networks import Residual

EXAMPLE = torch.zeros(1, 3, 48, 56)


def with_change(surgery: Surgery, path: str, change: Change) -> Surgery:
    """The surgery with another change of one module."""
    assert any(edit.path == path for edit in surgery.edits)
    edits = tuple(replace(edit, change=change) if edit.path == path else edit for edit in surgery.edits)
    return replace(surgery, edits=edits)


@pytest.mark.slow
def test_proof_says_what_was_compared():
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE, output_stride=4)
    proof = verify(network, surgery.apply(network), EXAMPLE, surgery=surgery)
    assert proof.largest_difference is not None
    assert proof.largest_difference < 1e-13
    assert proof.cells == 3 * 4
    assert proof.before.local == proof.after.local
    assert (proof.before.stride, proof.after.stride) == ((16, 16), (4, 4))


def test_dilating_the_first_layer_of_a_stage_is_found():
    """FACTS section 9: the fault of a popular library."""
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE, output_stride=8)
    fault = DenseAxis(3, 1, 2, (2, 2))  # stride 2 -> 1, but its own dilation and padding doubled as well
    wrong = with_change(surgery, "layer3.0.conv1", Dilate((fault, fault)))
    with pytest.raises(SurgeryError, match=r"differs.* the first layer that differs is layer3\.0\.conv1$"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


def test_dilating_everything_but_the_first_layer_after_it_is_found():
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE, output_stride=8)
    undone = DenseAxis(5, 1, 1, (2, 2))
    wrong = with_change(surgery, "layer3.0.conv2", Dilate((undone, undone)))
    with pytest.raises(SurgeryError, match=r"the first layer that differs is layer3\.0\.conv2$"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


def test_padding_that_is_not_multiplied_is_found():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1)
    )
    surgery = plan_surgery(network, EXAMPLE, output_stride=2)
    axis = DenseAxis(3, 2, padding=(0, 0), spread=(2, 4))
    wrong = with_change(surgery, "3", Pool((axis, axis), is_max=True))
    with pytest.raises(SurgeryError, match=r"cells; the first layer that differs is 3"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


def test_dropped_pool_is_found_where_it_should_have_been_kept():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
    surgery = plan_surgery(network, EXAMPLE, output_stride=2)
    wrong = with_change(surgery, "1", Drop())
    with pytest.raises(SurgeryError, match="the first layer that differs is 1"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


def test_squeeze_excitation_over_the_dense_map_is_found():
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE, output_stride=4)
    wrong = replace(surgery, edits=tuple(edit for edit in surgery.edits if edit.path != "layer2.1.se"))
    with pytest.raises(SurgeryError, match=r"the first layer that differs is layer2\.1\.se$"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


def test_a_dense_network_that_fails_is_found():
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE, output_stride=4)
    wrong = replace(surgery, edits=tuple(edit for edit in surgery.edits if "shortcut" not in edit.path))
    with pytest.raises(
        SurgeryError, match=r"fails: .*the first layer that differs is layer2\.0\.shortcut\.0"
    ):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)


class Silent(nn.Module):
    """A branch that a fresh scale hides."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.full((4, 1, 1), value))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return x + self.scale * self.conv2(x)


@pytest.mark.parametrize("value", [0.0, 1e-12])
def test_a_branch_that_is_still_silent_is_compared_too(value: float):
    network = Silent(value)
    surgery = plan_surgery(network, EXAMPLE, output_stride=1)
    undone = DenseAxis(3, 1, 1, (1, 1))
    wrong = with_change(surgery, "conv2", Dilate((undone, undone)))
    with pytest.raises(SurgeryError, match="first layer that differs is conv2"):
        verify(network, wrong.apply(network), EXAMPLE, surgery=surgery)
    assert bool((network.scale == value).all())


def test_a_network_that_shows_nothing_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.Conv2d(4, 4, 3, 2, 1, bias=False))
    nn.init.zeros_(next(network.parameters()))
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] = 1e-300
    surgery = plan_surgery(network, EXAMPLE, output_stride=2)
    verify(network, surgery.apply(network), EXAMPLE, surgery=surgery)  # tiny, but different in every cell
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Hardtanh(50, 60), nn.MaxPool2d(2))
    surgery = plan_surgery(network, EXAMPLE, output_stride=2)
    with pytest.raises(SurgeryError, match="the same in all cells"):
        verify(network, surgery.apply(network), EXAMPLE, surgery=surgery)


def test_what_cannot_be_compared_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, device="meta"))
    surgery = plan_surgery(network, EXAMPLE.to("meta"), output_stride=1)
    with pytest.raises(SurgeryError, match="is on the meta device and has no numbers"):
        verify(network, surgery.apply(network), EXAMPLE, surgery=surgery)

    class Named(nn.Sequential):
        def forward(self, input: Tensor) -> dict[str, Tensor]:
            return {"out": super().forward(input)}

    named = Named(nn.Conv2d(3, 4, 3, 2, 1))
    surgery = plan_surgery(named, EXAMPLE, output_stride=1)
    with pytest.raises(SurgeryError, match="Named returns a dict; wrap it"):
        verify(named, surgery.apply(named), EXAMPLE, surgery=surgery)


def test_branches_that_do_not_fit_without_a_pool_are_refused():
    class Reduction(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 4, 3, 2), nn.MaxPool2d(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.conv(x), self.pool(x)], 1)

    network = Reduction()
    surgery = plan_surgery(network, EXAMPLE, output_stride=1, pools="drop")
    with pytest.raises(SurgeryError, match="the dense network does not run"):
        verify(network, surgery.apply(network), EXAMPLE, surgery=surgery)


def test_dropped_pools_cannot_be_proved_but_their_receptive_field_is_reported():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, padding=1))
    surgery = plan_surgery(network, EXAMPLE, output_stride=2, pools="drop")
    dense = surgery.apply(network)
    proof = verify(network, dense, EXAMPLE, surgery=surgery)
    assert isinstance(dense.get_submodule("1"), nn.Identity)
    assert dense.get_submodule("2").dilation == (2, 2)
    assert proof.largest_difference is None
    assert (proof.before.local, proof.after.local) == ((15, 15), (11, 11))
    assert "another function" in surgery.notes[-1]
