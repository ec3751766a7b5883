"""Who is most robust: activations of one architecture, ranked over their training seeds.

A *cohort* is the checkpoints of one activation in one architecture; they differ in their training seed.
"""

import pandas as pd

from robustbench_act.errors import InputError
from robustbench_act.records import corrupted, headline, ordered_groups, succeeded
from robustbench_act.statistics import mean_interval, with_ties

COHORT = ["architecture", "activation"]
LEADERBOARD = (
    "rank",
    "activation",
    "architecture",
    "mca",
    "low",
    "high",
    "spread",
    "seeds",
    "clean",
    "retained",
)
"""Its columns, as `METRICS` declares them; then group_<name>."""


def group_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns `group_<group>` of a table, in its order."""
    return [str(name) for name in table if str(name).startswith("group_")]


def leaderboard(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per activation and architecture of `Run.cells`, the most robust first.

    Raises InputError if a checkpoint without an error has a missing accuracy or no clean cell.

    Returns
    -------
    DataFrame
        LEADERBOARD, then group_<name> for every group of corruptions in the run, input shifts last. Shares,
        not percent. mca is over `records.headline`; low and high are Student's t-interval of it over the
        training seeds, not clipped; NaN, as spread, for one seed. No rows if every checkpoint failed.

    Examples
    --------
    >>> rows = pd.DataFrame({
    ...     "checkpoint": "a", "architecture": "net", "activation": "relu", "table": "32", "error": None,
    ...     "corruption": ["clean", "fog", "fog"], "group": ["clean", "weather", "weather"],
    ...     "severity": [0.0, 1.0, 5.0], "accuracy": [0.8, 0.6, 0.2]})
    >>> leaderboard(rows)[["clean", "mca", "retained"]].round(3).to_dict("records")
    [{'clean': 0.8, 'mca': 0.4, 'retained': 0.5}]
    """
    scores = checkpoint_scores(cells)
    measures = ["clean", "mca", *group_columns(scores)]
    cohorts = scores.groupby(COHORT)
    board = cohorts[measures].mean()
    board["seeds"] = cohorts.size()
    board["spread"] = cohorts["mca"].std(ddof=1)
    intervals = [mean_interval(values) for _, values in cohorts["mca"]]
    board["low"] = [interval.low for interval in intervals]
    board["high"] = [interval.high for interval in intervals]
    board["retained"] = board["mca"] / board["clean"].where(board["clean"] > 0)
    board = board.reset_index()
    tied = board.groupby("architecture")["mca"].transform(with_ties)
    ranks = tied.groupby(board["architecture"]).rank(method="min", ascending=False)
    board["rank"] = ranks.astype("int64")
    order = ["mca", *COHORT]
    board = board.sort_values(order, ascending=[False, True, True], ignore_index=True)
    return board[[*LEADERBOARD, *group_columns(board)]]


def checkpoint_scores(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per checkpoint: its keys, `clean`, `mca` and `group_<name>` (shares)."""
    whole = succeeded(cells)
    keys = [*COHORT, "checkpoint"]
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").set_index(keys)["accuracy"]
    by_corruption, counted = (
        rows.groupby([*keys, "group", "corruption"])["accuracy"].mean()
        for rows in (corrupted(whole), headline(whole))
    )
    table = pd.DataFrame({"clean": clean, "mca": counted.groupby(keys).mean()})
    if table.isna().to_numpy().any():
        checkpoint = table.index[table.isna().any(axis=1)][0][-1]
        raise InputError(f"checkpoint {checkpoint!r} has no clean cell or no corrupted cell")
    by_group = by_corruption.groupby([*keys, "group"]).mean()
    for group in ordered_groups(by_corruption.index.get_level_values("group")):
        table[f"group_{group}"] = by_group.xs(group, level="group")
    table = table.reset_index()
    if "training_seed" in whole:
        seeds = whole.drop_duplicates("checkpoint").set_index("checkpoint")["training_seed"]
        table.insert(3, "training_seed", table["checkpoint"].map(seeds))
    return table
