from .activations import (
    LayerAct as LayerAct,
    NormalizedActivation as NormalizedActivation,
    get_activation as get_activation,
    list_activations as list_activations,
    register_activation as register_activation,
    replace_activations as replace_activations,
)
from .checkpoints import (
    Checkpoint as Checkpoint,
    Spec as Spec,
    load_checkpoint as load_checkpoint,
    save_checkpoint as save_checkpoint,
)
from .datasets import Dataset as Dataset, list_datasets as list_datasets, load_dataset as load_dataset
from .errors import InputError as InputError, StoppedError as StoppedError
from .evaluation import evaluate as evaluate
from .metrics import layer_correlations as layer_correlations
from .models import build_model as build_model, list_architectures as list_architectures
from .normalizations import replace_normalization as replace_normalization
from .run import EvaluationFailedError as EvaluationFailedError, Run as Run, load_run as load_run
from .training import train as train
from .version import __version__ as __version__

__all__: list[str]
