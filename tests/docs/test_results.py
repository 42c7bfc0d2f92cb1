"""The tables of docs/results.md are made of the figures that the benchmarks kept beside it."""

import json
import runpy
from io import StringIO

import pytest
import torch
from rich.console import Console

from docs.blocks import ROOT

PAGE = ROOT / "docs/results.md"


def rows(text):
    """Cells of the rows of Markdown's tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines]


@pytest.mark.parametrize(("benchmark", "part"), [("ladder", "mean_iou"), ("context_module", None)])
def test_the_table_is_that_of_the_figures_that_were_kept(benchmark, part):
    known = json.loads((PAGE.parent / f"{benchmark}.json").read_text())
    table = runpy.run_path(str(ROOT / f"benchmarks/{benchmark}.py"))["table_of"](
        known[part] if part else known
    )
    printed = StringIO()
    Console(file=printed, width=250).print(table)
    written = rows(PAGE.read_text())
    measured = [row for row in rows(printed.getvalue()) if not row[0].startswith("-")]
    assert len(measured) >= 6
    assert set(measured) <= set(written)


def test_variants_of_the_context_module_differ_in_one_thing():
    variants = runpy.run_path(str(ROOT / "benchmarks/context_module.py"))["VARIANTS"]
    modules = {variant.name: variant.build(3) for variant in variants}
    sizes = {name: sum(w.numel() for w in module.parameters()) for name, module in modules.items()}
    assert {name for name, size in sizes.items() if size != 7 * (9 * 9 + 3) + 9 + 3} == {
        "dilations: atrous design, 1 3 9 17"
    }
    scores = torch.randn(2, 3, 45, 60)
    with torch.inference_mode():
        starts = {name for name, module in modules.items() if not torch.equal(module(scores), scores.relu())}
    assert starts == {"start: identity and noise of 0.01", "start: He et al."}
