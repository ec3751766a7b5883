"""Checkpoints on disk: found, read without running code in them, written whole or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from glob import has_magic
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from robustbench_act.activations import activation_facts
from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.layers import declared_layers, mark_layers, watch_layers
from robustbench_act.activations.registry import require, resolve
from robustbench_act.atomic_files import write_atomically
from robustbench_act.checkpoints.fitting import fit, not_finite
from robustbench_act.checkpoints.memory import (
    activation_in,
    describe,
    own_copy,
    structure,
    tensors_of,
    unwrapped,
)
from robustbench_act.checkpoints.reading import INDEX_SUFFIX, Weights, read_weights, stored_spec, whole
from robustbench_act.checkpoints.spec import METADATA_KEY, Spec, published_spec
from robustbench_act.checkpoints.spec_sources import complete_spec
from robustbench_act.checkpoints.weights_cache import WeightsCache
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, first_line
from robustbench_act.models import Architecture, build_model, native
from robustbench_act.normalizations import normalization_of
from robustbench_act.paths import expand, listed
from robustbench_act.preprocessing import Preprocessing
from robustbench_act.user_code import find_named, import_modules, is_factory

SUFFIXES = (".safetensors", INDEX_SUFFIX, ".pt", ".pth", ".pth.tar", ".ckpt")
_PROGRAM = ".pt2"  # of torch.export: opened so that it can be refused with the reason

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
        _set_evaluation_mode(network, Path(name))
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

    def put_down(self) -> None:
        """Drop our reference to the network."""
        _CACHE.leave(self)
        self.__dict__.pop("_network", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_network"}


def find_checkpoints(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the checkpoint files among the given files, in folders (with subfolders) and matching globs.

    Sorted within each argument, each file once; hidden files are left out (macOS's `._` files). An argument
    without a checkpoint is an InputError.
    """
    found: dict[Path, None] = {}
    for item in paths:
        try:
            found |= dict.fromkeys(_expand(os.fspath(item)))
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{item}: cannot be searched for checkpoints ({error}).") from error
    return list(found)


def _expand(item: str) -> list[Path]:
    path = expand(item)
    if path.is_file():
        if not path.name.endswith((*SUFFIXES, _PROGRAM)):
            raise InputError(f"{path}: expected a checkpoint ({', '.join(SUFFIXES)}).")
        return [whole(path)]
    if path.is_dir():
        found = listed(path, "**/*")
        problem = f"{path}: no checkpoint in this folder ({', '.join(SUFFIXES)})."
    else:
        magic = [place for place, part in enumerate(path.parts) if has_magic(part)]
        start = magic[0] if magic else len(path.parts) - 1
        found = listed(Path(*path.parts[:start]), str(Path(*path.parts[start:])))
        problem = f"{item}: expected a checkpoint file, a folder or a pattern; nothing is there."
    files = {whole(file) for file in found if file.name.endswith(SUFFIXES) and file.is_file()}
    if not files:
        raise InputError(problem)
    return sorted(files)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return the stem of each file, preceded by as many of its folders as make it unique.

    >>> unique_names([Path("a/x/relu_1.pt"), Path("a/y/relu_1.pt"), Path("a/y/silu_1.pth.tar")])
    ['x/relu_1', 'y/relu_1', 'silu_1']
    """
    parts = [[_stem(path), *(name for name in reversed(path.parts[:-1]))] for path in paths]
    names = []
    for own in parts:
        length = next(
            (size for size in range(1, len(own)) if sum(own[:size] == other[:size] for other in parts) == 1),
            len(own),
        )
        names.append("/".join(reversed(own[:length])))
    return names


def load_checkpoint(
    path: str | os.PathLike[str],
    model: str | None = None,
    *,
    name: str | None = None,
    data: Dataset | None = None,
    weights: str | None = None,
    imports: Iterable[str] = (),
    **overrides: object,
) -> Checkpoint:
    """Load one checkpoint; nothing in the file is executed.

    Parameters
    ----------
    path
        A .safetensors file (ours carries its spec), the index of a sharded one, or a .pt, .pth, .pth.tar or
        .ckpt file that holds a state_dict: bare, or under a key that `checkpoints.reading` lists. The names
        may have prefixes that `checkpoints.fitting` lists.
    model
        Architecture string; needed unless the file or its place in the published layout tells it.
    name
        Name for tables; by default the file's stem.
    data
        The images it will be shown: supplies classes and input size if nothing else does.
    weights
        The key that holds the weights, or what their names begin with, if the file has several: e.g.
        "state_dict_ema" or "model.".
    imports
        Modules of yours to import first, as "mine.acts": the file may name activations and networks that
        they define.
    overrides
        Fields of `Spec` that replace the file's: activation, mean, std, classes, ...

    Raises
    ------
    InputError
        If the file is missing or damaged, a pickle holds code, or keys or shapes do not match (listed).
    """
    path = expand(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file.")
    import_modules(imports)
    read = read_weights(path, weights)
    stored = read.spec
    if stored is not None and model is None:
        parsed = Architecture.parse(stored.architecture)
        if parsed.is_factory:  # a spec is data, and must run nothing
            find_named(f"{parsed.source}:{parsed.name}", what=f"{path}: its network")
    given = overrides.get("normalization")
    if stored is not None and given is None and is_factory(stored.normalization):
        find_named(stored.normalization, what=f"{path}: its normalisation")
    chosen = overrides.get("activation")
    if chosen is not None:
        activation, written = resolve(str(chosen))
        parameters: Any = overrides.get("activation_parameters") or {}
        overrides |= {"activation": activation, "activation_parameters": {**written, **parameters}}
    spec, sources = complete_spec(stored or published_spec(path), path, data, architecture=model, **overrides)
    changed = require(spec.activation, spec.activation_facts if chosen is None else {}, where=str(path))
    spec = replace(spec, activation_facts=activation_facts(spec.activation).to_record())
    with torch.inference_mode(False):
        network, fitted, renamed = _built(spec, read, path)
    watch_layers(network, spec.layers)
    digest = weights_digest(fitted)
    checkpoint = Checkpoint(
        name or _stem(path),
        path,
        spec,
        partial(_read_again, path, weights, spec, digest),
        digest,
        sum(tensor.numel() * tensor.element_size() for tensor in fitted.values()),
        not_finite(fitted),
        (*read.notes, *renamed, *sources, *changed),
        normalization_of(network) if spec.normalization == NATIVE else spec.normalization,
        changed,
        declared_layers(network),
    )
    checkpoint.__dict__["_network"] = network  # what has just been read need not be read again
    _CACHE.take(checkpoint)
    return checkpoint


def _built(spec: Spec, weights: Weights, path: Path) -> tuple[nn.Module, dict[str, Tensor], list[str]]:
    """Return a spec's network with these weights, the weights by its names, and how they were fitted."""
    require(spec.activation, spec.activation_facts, where=str(path), trusted=True)  # in another process
    network = build_model(
        spec.architecture,
        activation=spec.activation,
        activation_parameters=spec.activation_parameters,
        normalization=spec.normalization,
        classes=spec.classes,
        input_size=spec.input_size,
    )
    fitted, notes = fit(network, weights, path)
    _set_evaluation_mode(network, path)
    network.requires_grad_(False)
    return network, fitted, [*notes, *_as_published(network, spec, path)]


def _set_evaluation_mode(network: nn.Module, path: Path) -> None:
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


def _read_again(path: Path, weights: str | None, spec: Spec, digest: str) -> nn.Module:
    if not path.is_file():
        raise InputError(f"{path}: the checkpoint has gone since it was first read.")
    network, state, _ = _built(spec, read_weights(path, weights), path)
    if weights_digest(state) != digest:
        raise InputError(f"{path}: the weights have changed since they were first read.")
    return network


def _as_published(network: nn.Module, spec: Spec, path: Path) -> list[str]:
    """Set `transform_input` as torchvision does when it loads its own weights, and return a note of it."""
    known = native(spec.architecture, path)
    if known is None or not known.published or not hasattr(network, "transform_input"):
        return []
    setattr(network, "transform_input", True)  # noqa: B010 - its type is not declared
    return [f"transform_input on, as for {known.source}"]


def save_checkpoint(path: Path, model: nn.Module, spec: Spec) -> None:
    """Write weights and spec as one safetensors file: whole or not at all.

    Shared tensors are written once for each of their names. An InputError if `check_storable` raises one.
    """
    check_storable(model)
    state = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in model.state_dict().items()
    }
    write_atomically(path, save(state, metadata={METADATA_KEY: spec.to_json()}))


def check_storable(model: nn.Module) -> None:
    """Raise an InputError if the state of a network holds anything but tensors."""
    for key, item in model.state_dict().items():
        if not isinstance(item, Tensor):
            raise InputError(
                f"{key} of {type(model).__name__}: expected a tensor, got {type(item).__name__}, which a "
                "safetensors file cannot hold; let get_extra_state return a tensor."
            )


def read_spec(path: Path) -> Spec:
    """Return the spec of one of our .safetensors files without loading its weights."""
    spec = stored_spec(path)
    if spec is None:
        raise InputError(f"{path}: no {METADATA_KEY} spec in the metadata; name the network with --model.")
    return spec


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.flatten().clone(memory_format=torch.contiguous_format)  # a file's strides may be 0
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _stem(path: Path) -> str:
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        name = name.removesuffix(suffix)
    return name
