"""How far the permutohedral lattice is from the Gaussian filter that it stands for, by number of features.

Run it as `python benchmarks/lattice_error.py`. Random points, dense enough that each hears from many; the
error is |lattice - exact| relative to |exact|, in the Euclidean norm over points and values.
"""

import torch
from rich.console import Console
from rich.table import Table

from atrous.crf.filters import Filter, build_exact
from atrous.crf.lattice_assembly import build_lattice

NUM_POINTS, NUM_VALUES, SPREAD = 2000, 3, 0.7  # the spread in bandwidths
FEATURES = (1, 2, 3, 5, 6, 8, 12, 15)
NORMALIZATIONS = ("symmetric", "after", "none")


def filtered(gaussian: Filter, values: torch.Tensor) -> torch.Tensor:
    """Values (n, k) after the filter."""
    return gaussian.slice(gaussian.splat(values, weights=torch.ones(1, dtype=values.dtype)))


def main() -> None:
    """Measure and print the table."""
    table = Table("features", *NORMALIZATIONS, title="relative error of the lattice, %")
    for num_features in FEATURES:
        generator = torch.Generator().manual_seed(0)
        points = SPREAD * torch.randn(num_features, NUM_POINTS, generator=generator, dtype=torch.float64)
        values = torch.rand(NUM_POINTS, NUM_VALUES, generator=generator, dtype=torch.float64)
        errors = []
        for normalization in NORMALIZATIONS:
            exact, lattice = (
                filtered(build([points], normalization=normalization), values)
                for build in (build_exact, build_lattice)
            )
            errors.append(float((lattice - exact).norm() / exact.norm()))
        table.add_row(str(num_features), *(f"{100 * error:.1f}" for error in errors))
    Console().print(table)


if __name__ == "__main__":
    main()
