"""Which claims are shown: the rules of registration.md."""

from collections.abc import Sequence

import pandas as pd

from studies.analysis.anact import GRADIENTS
from studies.analysis.contrasts import PRIMARY, Finding
from studies.analysis.layeract import is_shown

_SIGNS = {"a": -1, "b": -1, "c": 1, "c2": 1, "d": -1, "e": -1}
"""The direction that each hypothesis claims for a - b."""

SHOWN, OPPOSITE, NOT_SHOWN = "shown", "opposite shown", "not shown"


def verdicts(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return hypothesis, a, b and outcome: "shown", "opposite shown" or "not shown".

    All measures of a pair decide on H-a, the gradient variance on H-d, any threshold on H-e.
    """
    members: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        if one.role == PRIMARY and (one.hypothesis != "d" or one.measure == GRADIENTS):
            members.setdefault((one.hypothesis, one.a, one.b), []).append(one)
    rows = [(*key, _outcome(key[0], own)) for key, own in members.items()]
    return pd.DataFrame(rows, columns=["hypothesis", "a", "b", "outcome"])


def _outcome(hypothesis: str, own: Sequence[Finding]) -> str:
    enough = any if hypothesis == "e" else all
    sign = _SIGNS[hypothesis]
    claimed = enough(is_shown(one, sign=sign) for one in own)
    opposite = enough(is_shown(one, sign=-sign) for one in own)
    return NOT_SHOWN if claimed == opposite else SHOWN if claimed else OPPOSITE
