"""Try surgery on other people's networks and write what came out: docs/zoo.md.

Run by `scripts/zoo`, which puts torchvision and timm where this finds them. Results are kept line by line in
a JSON file, so that an interrupted run goes on.
"""

import argparse
import gc
import importlib.util
import json
import time
import warnings
from pathlib import Path

import torch

from atrous.errors import AtrousError
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from atrous.models.foreign import foreign_network
from atrous.models.named import example_of
from atrous.surgery.plan import plan_surgery
from atrous.surgery.verify import verify

ROOT = Path(__file__).parent.parent
SIZE = (129, 161)  # px; odd and not square, where a network takes any size
STRIDES = (16, 8)
HEAD = """# Other people's networks

Every classifier family of torchvision {torchvision} and {timm_count} networks of timm {timm}, with fresh
weights, made dense by `atrous.dilate` at output strides 16 and 8. Written by `scripts/zoo table`; nothing is
typed by hand.

- **field**, **stride**: receptive field in px of the last map before the head, and its stride; "+ all" where
  a path sees the whole input as well (squeeze-and-excitation, attention, statistics over positions).
- **at 16**, **at 8**: the largest difference between dense and original map at the original's cells, borders
  included, as a share of the map's largest value, on a random float64 input of the size named; or why not.
- **its own at 8**: the receptive field when the package's own switch (`output_stride=8`; in torchvision
  `replace_stride_with_dilation`) makes the network dense. Where that is not the field of the original, it is
  another function; "refuses" where there is no switch, or it raises.

| network | parameters | field | stride | verified on | at 16 | at 8 | its own at 8 |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure what is missing in the JSON file, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "docs/zoo.json")
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("names", nargs="*", help="measure only these, anew")
    arguments = parser.parse_args()
    known = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    wanted = arguments.names or [name for name in names() if arguments.again or name not in known]
    for name in wanted:
        start = time.perf_counter()
        known[name] = measure(name)
        print(f"{name} {time.perf_counter() - start:.0f} s {known[name]}", flush=True)
        arguments.results.write_text(
            json.dumps({key: known[key] for key in names() if key in known}, indent=1)
        )
        gc.collect()
    write_table(known)


def names() -> tuple[str, ...]:
    """The networks to try."""
    path = ROOT / "tests/zoo/networks.py"
    spec = importlib.util.spec_from_file_location("zoo_networks", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NAMES


def measure(name: str) -> dict[str, object]:
    """What came out for one network."""
    torch.manual_seed(0)
    network = foreign_network(name).eval()
    try:
        example = torch.zeros(1, 3, *SIZE)
        graph = trace(network, example)
    except AtrousError:
        example = example_of(network)  # it takes one size only
        graph = trace(network, example)
    field = receptive_field(graph)
    result: dict[str, object] = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "field": list(field.local),
        "sees_all": any(layer.node.is_map and any(layer.sees_all) for layer in field.layers),
        "stride": [float(stride) for stride in field.stride],
        "size": list(example.shape[2:]),
        "own": own_switch(name, example),
    }
    for stride in STRIDES:
        try:
            surgery = plan_surgery(network, example, output_stride=stride)
            result["sees_all"] = any(surgery.receptive_field.sees_all)  # the head left out
            proof = verify(network, surgery.apply(network), example, surgery=surgery)
            result[str(stride)] = proof.largest_difference
        except AtrousError as error:
            result[str(stride)] = str(error)
    return result


def own_switch(name: str, example: torch.Tensor) -> list[int] | str:
    """The receptive field that the package's own way to a stride of 8 gives, or "refuses"."""
    source, _, key = name.partition(":")
    try:
        if source == "timm":
            import timm

            network = timm.create_model(key, output_stride=8)
        else:
            import torchvision

            network = torchvision.models.get_model(key, replace_stride_with_dilation=[False, True, True])
        field = receptive_field(network.eval(), example)
    except Exception:  # noqa: BLE001 (foreign constructors refuse in every way there is)
        return "refuses"
    return list(field.local) if field.stride == (8, 8) else f"stays at stride {field.stride[0]}"


def write_table(known: dict[str, dict]) -> None:
    """docs/zoo.md, and below the table the reasons in full."""
    import timm
    import torchvision

    lines, reasons = [], []
    for name in names():
        if name not in known:
            continue
        row = known[name]
        cells = [_proof(row[str(stride)], name, stride, reasons) for stride in STRIDES]
        own = row["own"] if isinstance(row["own"], str) else _size(row["own"])
        field = _size(row["field"]) + (" + all" if row["sees_all"] else "")
        stride = f"{row['stride'][0]:g}"
        size = "x".join(map(str, row["size"]))
        lines.append(
            f"| {name} | {row['parameters']:,} | {field} | {stride} | {size} | {' | '.join(cells)} | {own} |"
        )
    verified = [sum(isinstance(known[n][str(s)], float) for n in known) for s in STRIDES]
    text = HEAD.format(
        torchvision=torchvision.__version__.split("+")[0],
        timm=timm.__version__,
        timm_count=sum(name.startswith("timm:") for name in known),
    )
    total = f"\n{verified[0]} of {len(known)} are verified at 16, {verified[1]} at 8.\n"
    text += "\n".join(lines) + "\n" + total
    if reasons:
        text += "\n## Why not\n" + "\n".join(reasons) + "\n"
    (ROOT / "docs/zoo.md").write_text(text)


def _proof(value: float | str, name: str, stride: int, reasons: list[str]) -> str:
    if isinstance(value, float):
        return f"{value:.0e}"
    reasons.append(f"{len(reasons) + 1}. **{name}** at {stride}: {value}")
    return f"no ({len(reasons)})"


def _size(values: list[int]) -> str:
    return "x".join(str(value) for value in dict.fromkeys(values))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
