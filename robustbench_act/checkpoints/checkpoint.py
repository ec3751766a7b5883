"""A network with its spec: read from a file when it is needed, or in memory from the beginning."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.layers import declared_layers, mark_layers, watch_layers
from robustbench_act.checkpoints.fitting import not_finite
from robustbench_act.checkpoints.memory import (
    activation_in,
    describe,
    own_copy,
    structure,
    tensors_of,
    unwrapped,
)
from robustbench_act.checkpoints.spec import Spec
from robustbench_act.checkpoints.weights_cache import WeightsCache
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, first_line
from robustbench_act.normalizations import normalization_of
from robustbench_act.preprocessing import Preprocessing

_CACHE = WeightsCache()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network in evaluation mode, with its spec and how it was read.

    Attributes
    ----------
    name
        Short name for tables.
    path
        Where it came from.
    spec
        See `Spec`.
    load
        Returns the network: in evaluation mode, on the CPU, no gradients.
    digest
        SHA-256 of the weights: the same weights have the same digest in any file format.
    size
        Bytes of the weights.
    problem
        Why it cannot be evaluated (weights that are not finite, named), or None.
    notes
        How the file was read: where its weights were, prefixes removed, the source of each setting.
    normalization
        Which the network has, as `normalization_of` names it; the spec's, if that is not "native".
    warnings
        Those of the notes that everyone must see.
    layers
        Paths of its activation layers that are some because the user says so: a process that has not
        imported their classes, or the network from memory, learns it from here.
    in_memory
        Whether it was in memory from the beginning: then `path` is its name, and no file can give it back.
    """

    name: str
    path: Path
    spec: Spec
    load: Callable[[], nn.Module]
    digest: str
    size: int
    problem: str | None = None
    notes: tuple[str, ...] = ()
    normalization: str = ""
    warnings: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    in_memory: bool = False

    @classmethod
    def of(
        cls,
        module: nn.Module,
        *,
        name: str | None = None,
        mean: float | Iterable[float] | None = None,
        std: float | Iterable[float] | None = None,
        activation: str | None = None,
        architecture: str | None = None,
        group: str | None = None,
        data: Dataset | None = None,
        **facts: Any,
    ) -> "Checkpoint":
        """Return a network in memory as a checkpoint: a copy, so that the module itself is never touched.

        Its mode, device, hooks, parameters and gradients stay as they are, and what is done to it later does
        not show. Hooks and functions that it holds come along, and run. The digest is that of the weights
        and buffers, and of the classes, their code, and the plain settings of all parts.

        Parameters
        ----------
        name
            Name for tables; by default the class's.
        mean, std
            On the [0, 1] scale: a number, or one for each channel. Needed.
        activation, architecture, group
            What tables call it, also in one dictionary `labels`. By default the activation is that of its
            layers, if they have one, and the architecture its class's name.
        data
            The images it will be shown: supplies classes and input size if nothing else does.
        facts
            Other fields of `Spec`: training_seed, classes, input_size, dataset, ...

        Raises
        ------
        InputError
            The module cannot be copied, something is missing (the error says what to pass), or its copy
            still calls the module itself.

        Examples
        --------
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())
        >>> found = Checkpoint.of(net, name="mine", mean=0.3, std=0.4, input_size=(1, 8, 8))
        >>> found.spec.classes, found.spec.activation_name, found.spec.architecture_name, net.training
        (10, 'relu', 'Sequential', True)
        """
        original = unwrapped(module)
        name = name or type(original).__name__
        network = own_copy(original, name)
        assert isinstance(original, nn.Module)
        set_evaluation_mode(network, Path(name))
        network.requires_grad_(False)
        tensors = tensors_of(network)
        told = {"activation": activation or activation_in(network), "group": group}
        told["architecture"] = architecture or type(original).__name__
        told |= facts.pop("labels", {})
        labels = {key: text for key, text in told.items() if text is not None and text != NATIVE}
        digest = hashlib.sha256(f"{weights_digest(tensors)}\n{structure(network)}".encode())
        spec = describe(original, network, name, data=data, mean=mean, std=std, labels=labels, **facts)
        watch_layers(network, spec.layers)
        return cls(
            name,
            Path(name),
            spec,
            partial(_kept, network),
            digest.hexdigest(),
            sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
            not_finite(tensors),
            ("from memory",),
            normalization_of(network),
            layers=declared_layers(network),
            in_memory=True,
        )

    def preprocessing(self, shape: tuple[int, int, int]) -> Preprocessing:
        """Return how images (C, H, W) become the network's inputs; an InputError if they cannot."""
        try:
            return self.spec.preprocessing(shape)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def adapted(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """Return what is done to images (C, H, W) so that they fit the network; nothing if they do."""
        return self.preprocessing(shape).steps(shape[0])

    @property
    def model(self) -> nn.Module:
        """The network in evaluation mode, whatever was done to it since it was read.

        It is held in memory while there is room (`weights_cache.ROOM`), otherwise read again. An
        InputError if the file has gone or changed since it was first read.
        """
        network = self._network
        network.eval()  # a user's own may return nothing
        if not self.in_memory:
            _CACHE.take(self)
        return network

    @property
    def is_onnx(self) -> bool:
        """Whether onnxruntime computes it: on the CPU, as its file says, and no layer can be watched."""
        return self.spec.architecture.startswith("onnx:")

    @cached_property
    def _network(self) -> nn.Module:
        with torch.inference_mode(False):  # its weights outlive the caller's inference-mode block
            network = self.load()
            mark_layers(network, self.layers)
            return network

    @property
    def is_held(self) -> bool:
        """Whether the network is in memory."""
        return "_network" in self.__dict__

    def hold(self, network: nn.Module) -> None:
        """Keep a network that has just been read: it need not be read again."""
        self.__dict__["_network"] = network
        _CACHE.take(self)

    def put_down(self) -> None:
        """Drop our reference to the network."""
        _CACHE.leave(self)
        self.__dict__.pop("_network", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_network"}


def set_evaluation_mode(network: nn.Module, path: Path) -> None:
    """Call eval(), a network's own, which may return nothing."""
    try:
        network.eval()
    except Exception as error:  # it is the user's code
        raise InputError(
            f"{path}: eval() of its network raised {type(error).__name__}: {first_line(error)}."
        ) from error
    if network.training:
        raise InputError(f"{path}: its network is still in training mode after eval(); let it call super().")


def _kept(network: nn.Module) -> nn.Module:
    return network


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.flatten().clone(memory_format=torch.contiguous_format)  # a file's strides may be 0
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
