"""How long `atrous analyze` of ResNet-50 takes beyond importing torch: cold in a new process, and warm.

    scripts/zoo run python benchmarks/analyze.py [--json FILE]

Wanted: at most 3 s cold and 1 s warm. Importing torchvision is not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

NETWORK = "torchvision:resnet50"
TIMES = 5

CHILD = f"""
import json, time
import torch
from atrous.models.foreign import foreign_network
with torch.device("meta"):
    foreign_network("torchvision:resnet18")  # imports torchvision
from atrous.jobs.analyze import AnalyzeConfig, run
from atrous.jobs.progress import drain
seconds = []
for _ in range(1 + {TIMES}):
    start = time.perf_counter()
    drain(run(AnalyzeConfig("{NETWORK}"))).to_table()
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def main() -> None:
    """Measure in new processes and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True).stdout)
        for _ in range(3)
    ]
    cold = statistics.median(seconds[0] for seconds in runs)
    warm = statistics.median(second for seconds in runs for second in seconds[1:])
    print(f"analyze {NETWORK} beyond importing torch: {cold:.2f} s cold (wanted 3), {warm:.2f} s warm (1)")
    print(f"cold is {cold / warm:.1f} times warm")
    if arguments.json:
        arguments.json.write_text(json.dumps({"cold": cold, "warm": warm, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
