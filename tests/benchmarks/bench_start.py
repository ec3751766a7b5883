"""How long `actrobust --help` takes, as a ratio to `python -c 'import click'` in the same run.

python -m tests.benchmarks.bench_start [RUNS]

The two take turns; the ratio is that of the medians, and should be at most 2.
"""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "actrobust --help": [sys.executable, "-c", "from robustbench_act.cli import main; main(['--help'])"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(runs: int = 10) -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}  # the first fills caches
    for name, median in medians.items():
        print(f"{name:<18} {1000 * median:6.0f} ms")
    peer, ours = medians.values()
    print(f"{'ratio':<18} {ours / peer:6.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
