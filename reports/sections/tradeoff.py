"""Clean against corrupted accuracy: what was gained, and what was paid for it."""

from functools import partial

import numpy as np
import pandas as pd

from reports import words
from reports.digest import Digest
from reports.figures import TRADEOFF_SIZE, trade_off
from reports.layout import Drawing, Panel, Section
from reports.style import label


def tradeoff(digest: Digest) -> Section:
    """Return the section: a dot for each activation and each checkpoint, and the baseline's line."""
    title = f"Clean against corrupted {digest.measure}"
    if digest.nothing:
        return Section("tradeoff", title, "Clean / corrupted", nothing=digest.nothing)
    drawings = [
        _drawing(own, digest, name=f"tradeoff-{place}")
        for place, (_, own) in enumerate(digest.scores.groupby("architecture"))
    ]
    content = {"baseline": label(digest.baseline) if digest.baseline else "", "legend": digest.legend}
    return Section("tradeoff", title, "Clean / corrupted", content, panels=[Panel("", drawings)])


def _drawing(scores: pd.DataFrame, digest: Digest, *, name: str) -> Drawing:
    base = scores[scores["activation"] == digest.baseline]
    kept = base["corrupted"].mean() / base["clean"].mean() if base["clean"].sum() > 0 else np.nan
    data = scores[["architecture", "activation", "checkpoint", "training_seed", "clean", "corrupted"]]
    data = data.assign(expected=data["clean"] * kept)
    architecture = str(scores["architecture"].iloc[0])
    return Drawing(
        name=name,
        heading=architecture,
        finding=words.tradeoff_finding(data, digest.baseline),
        draw=partial(trade_off, data, measure=digest.measure),
        size=TRADEOFF_SIZE,
        data=data,
    )
