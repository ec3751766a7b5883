"""Networks by name, with the activation as a parameter."""

from robustbench_act.activations.facts import NATIVE
from robustbench_act.models.answers import UnclearOutputError, answer_entry, answer_rows
from robustbench_act.models.architecture import Architecture, build_model, list_architectures
from robustbench_act.models.cifar_resnet import CifarResNet
from robustbench_act.models.library_settings import Native, fixed_side, native

__all__ = [
    "NATIVE",
    "Architecture",
    "CifarResNet",
    "Native",
    "UnclearOutputError",
    "answer_entry",
    "answer_rows",
    "build_model",
    "fixed_side",
    "list_architectures",
    "native",
]
