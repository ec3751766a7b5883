from .answers import (
    UnclearOutputError as UnclearOutputError,
    answer_entry as answer_entry,
    answer_rows as answer_rows,
)
from .architecture import (
    Architecture as Architecture,
    build_model as build_model,
    list_architectures as list_architectures,
)
from .cifar_resnet import CifarResNet as CifarResNet
from .library_settings import Native as Native, fixed_side as fixed_side, native as native
from .mlp import MLP as MLP
from .own_names import OWN_NETWORKS as OWN_NETWORKS
