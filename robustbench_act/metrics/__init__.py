"""What the numbers of a run are called, mean and are made of. Loads without torch.

Every metric is declared once (`METRICS`: unit, direction, bounds, formula, source); tables, reports and the
gate read it there.
"""

from robustbench_act.metrics.activation_pairs import ANSWER, LEVELS, SETTING, compare_activations
from robustbench_act.metrics.classes import class_accuracy
from robustbench_act.metrics.cohorts import AXES, COHORT, named, split_cohort, told_apart, with_axes
from robustbench_act.metrics.correlations import (
    LAYER_QUANTITIES,
    LEAST_ACTIVATIONS,
    correlate_layers,
    layer_correlations,
)
from robustbench_act.metrics.declared import METRICS, group_metric
from robustbench_act.metrics.joint import NO_OUTCOMES, PAIR, joint_analyses, joint_pairs
from robustbench_act.metrics.leaderboard import LEADERBOARD, leaderboard
from robustbench_act.metrics.leaderboard_texts import (
    axis_columns,
    leaderboard_texts,
    leaderboard_title,
    percent,
)
from robustbench_act.metrics.reference import ALEXNET, Reference, alexnet, run_reference
from robustbench_act.metrics.scores import (
    checkpoint_scores,
    group_columns,
    image_accuracy,
    image_accuracy_by_corruption,
    image_scores,
)
from robustbench_act.metrics.so_far import SoFar
from robustbench_act.metrics.summary import CELL_METRICS, summary
from robustbench_act.records import (
    HeadlineWords,
    corrupted,
    group_label,
    headline,
    headline_groups,
    headline_words,
    labelled,
    ordered_groups,
    succeeded,
)
from robustbench_act.tally.calibration import calibration_error
from robustbench_act.tally.layer_columns import LAYER_METRICS
from robustbench_act.tally.metric import Metric

__all__ = [
    "ALEXNET",
    "ANSWER",
    "AXES",
    "CELL_METRICS",
    "COHORT",
    "LAYER_METRICS",
    "LAYER_QUANTITIES",
    "LEADERBOARD",
    "LEAST_ACTIVATIONS",
    "LEVELS",
    "METRICS",
    "NO_OUTCOMES",
    "PAIR",
    "SETTING",
    "HeadlineWords",
    "Metric",
    "Reference",
    "SoFar",
    "alexnet",
    "axis_columns",
    "calibration_error",
    "checkpoint_scores",
    "class_accuracy",
    "compare_activations",
    "correlate_layers",
    "corrupted",
    "group_columns",
    "group_label",
    "group_metric",
    "headline",
    "headline_groups",
    "headline_words",
    "image_accuracy",
    "image_accuracy_by_corruption",
    "image_scores",
    "joint_analyses",
    "joint_pairs",
    "labelled",
    "layer_correlations",
    "leaderboard",
    "leaderboard_texts",
    "leaderboard_title",
    "named",
    "ordered_groups",
    "percent",
    "run_reference",
    "split_cohort",
    "succeeded",
    "summary",
    "told_apart",
    "with_axes",
]
