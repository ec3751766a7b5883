"""The page of all simulations: `python -m tests.simulations > docs/simulations.md`."""

import sys
from itertools import chain

from tests.simulations import gate, joint

HEAD = """# What the conclusions are worth

Simulations in which the truth is known: how often a conclusion is wrong, and how often it is
found. The scores are drawn with the spreads of the [embedded networks](embedded-networks.md):
over trainings 2.0 points, over seeds 1.2, over images 11.5, activation and image 2.7, seed and
image 2.6, the rest 4.8. `python -m tests.simulations` makes this page again.
"""


def main() -> None:
    """Print the page, line by line."""
    sys.stdout.write(f"{HEAD}\n")
    for line in chain(joint.section(), [""], gate.section()):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
