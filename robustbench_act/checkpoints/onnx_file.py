"""An ONNX file as a network: onnxruntime computes it on the CPU, and no layer of it can be watched."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_act.checkpoints.elsewhere import Elsewhere
from robustbench_act.checkpoints.onnx_messages import external_files
from robustbench_act.errors import InputError, first_line
from robustbench_act.file_kinds import kind_of

SUFFIX = ".onnx"
_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16}
_CHANNELS = (1, 3)


class OnnxNetwork(nn.Module):
    """A graph of onnxruntime with the interface of a network: images (N, C, H, W) in, its outputs out.

    It runs on the CPU, wherever the images are, in as many threads as PyTorch is set to. A pickled one holds
    the content of its file, unless other files hold weights: then these must be where they were.
    """

    WHY_UNWATCHED = "onnxruntime computes it, so its accuracy is measured and none of its layers can be"

    def __init__(self, path: Path, where: Path, content: bytes | None = None) -> None:
        super().__init__()
        self._path, self._where, self._content = path, where, content
        self._threads = torch.get_num_threads()
        self._session = self._opened()
        self._input = self._only_input()
        self._dtype = _TYPES[self._input.type]
        batch, *self.image_shape = self._input.shape
        self._batch = batch if isinstance(batch, int) else None
        self.channels_last = self.image_shape[2] in _CHANNELS and self.image_shape[0] not in _CHANNELS
        if self.channels_last:
            height, width, channels = self.image_shape
            self.image_shape = [channels, height, width]
        if self.image_shape[0] not in _CHANNELS:
            raise InputError(
                f"{where}: expected images with 1 or 3 channels as its input, got {_shown(self._input)}."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        content = self._content or self._path.read_bytes()
        return type(self), (self._path, self._where, None if external_files(content) else content)

    @property
    def columns(self) -> int | None:
        """The length of its answer, if it has one output of a known length; else None."""
        outputs = self._session.get_outputs()
        length = outputs[0].shape[-1] if len(outputs) == 1 and len(outputs[0].shape) == 2 else None
        return length if isinstance(length, int) else None

    @property
    def input_shown(self) -> str:
        """Name, type and shape of its input."""
        return _shown(self._input)

    def forward(self, images: Tensor) -> Tensor | dict[str, Any]:
        """Return its output, or its outputs by their names if it has several."""
        if torch.get_num_threads() != self._threads:
            self._threads = torch.get_num_threads()
            self._session = self._opened()
        own = images.detach().to("cpu", self._dtype)
        own = own.permute(0, 2, 3, 1) if self.channels_last else own
        parts = [self._answered(part) for part in torch.split(own, self._batch or max(len(own), 1))]
        names = [one.name for one in self._session.get_outputs()]
        found = {
            name: _joined(pieces, images.device)
            for name, pieces in zip(names, zip(*parts, strict=True), strict=True)
        }
        return next(iter(found.values())) if len(found) == 1 else found

    def _answered(self, images: Tensor) -> list[Any]:
        """Return the outputs for at most so many images as the file takes; missing ones are repeated."""
        count, taken = len(images), self._batch or len(images)
        shown = images if count == taken else images[torch.arange(taken) % count]
        outputs = self._session.run(None, {self._input.name: shown.contiguous().numpy()})
        return [own[:count] if isinstance(own, np.ndarray) and own.ndim else own for own in outputs]

    def _opened(self) -> Any:
        library = import_onnxruntime()
        options = library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.use_deterministic_compute = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes work too
        options.log_severity_level = 4
        try:
            return library.InferenceSession(
                self._content or str(self._path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of the library
            raise InputError(f"{self._where}: onnxruntime cannot load it ({first_line(error)}).") from error

    def _only_input(self) -> Any:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise InputError(f"{self._where}: expected images as its only input, got {_listed(inputs)}.")
        (own,) = inputs
        outputs = self._session.get_outputs()
        if not any(one.type in _TYPES and len(one.shape) <= 2 for one in outputs):
            raise InputError(f"{self._where}: expected logits as an output, got {_listed(outputs)}.")
        if own.type not in _TYPES or len(own.shape) != 4:
            raise InputError(
                f"{self._where}: expected a batch of images as its input, (N, C, H, W) of floating-point "
                f"numbers, got {_shown(own)}."
            )
        return own


def read_onnx(path: Path, where: Path) -> Elsewhere:
    """Return the network in a file; InputErrors begin with `where`, as the user named it."""
    files = _files(path, where)
    network = OnnxNetwork(path, where).requires_grad_(False).eval()
    facts: dict[str, Any] = {}
    sized = all(isinstance(side, int) for side in network.image_shape)
    if network.columns is not None:
        facts["classes"] = 2 if network.columns == 1 else network.columns
    if sized:
        facts["input_size"] = tuple(network.image_shape)
    return Elsewhere(
        network=network,
        architecture=f"onnx:{path.name.removesuffix(SUFFIX)}",
        facts=facts,
        open_size="" if sized else network.input_shown,
        digest=_digest(files),
        size=sum(file.stat().st_size for file in files.values()),
        notes=("onnxruntime computes it on the CPU",)
        + (("its images are (N, H, W, C)",) if network.channels_last else ()),
    )


def import_onnxruntime() -> Any:
    """Return the onnxruntime package; an InputError if it is not installed."""
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError("ONNX files need the package: pip install 'actrobust[onnx]'.") from error
    return onnxruntime


def _files(path: Path, where: Path) -> Mapping[str, Path]:
    """Return the file and those that hold weights of it, by name; the latter must lie next to it."""
    if not path.is_file():
        raise InputError(f"{where}: no such file.")
    try:
        names = external_files(path.read_bytes())
    except (OSError, ValueError) as error:
        kind = kind_of(path)
        raise InputError(f"{where}: not a complete ONNX file ({kind or first_line(error)}).") from error
    for name in names:
        parts = PurePosixPath(name).parts
        if not name or "\\" in name or name.startswith("/") or ".." in parts:
            raise InputError(f"{where}: expected its weights in files next to it, got {name!r:.80}.")
        if not (path.parent / name).is_file():
            raise InputError(f"{where}: its weights are in {path.parent / name}, and no such file is there.")
    return {"": path} | {name: path.parent / name for name in names}


def _digest(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 of the file; with weights next to it, of all of them and their names."""
    whole = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if len(files) == 1:
            return digest
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def _joined(pieces: Sequence[Any], device: torch.device) -> Any:
    """Return an output for all images from those for some; what is not an array is returned as it is."""
    if not (isinstance(pieces[0], np.ndarray) and pieces[0].ndim):
        return pieces[0]
    return torch.from_numpy(np.concatenate(pieces)).to(device)


def _listed(values: Sequence[Any]) -> str:
    return f"{len(values)}: {', '.join(map(_shown, values))}" if values else "none"


def _shown(value: Any) -> str:
    sizes = ", ".join("?" if side is None else str(side) for side in value.shape)
    return f"{value.name} {value.type} ({sizes})"
