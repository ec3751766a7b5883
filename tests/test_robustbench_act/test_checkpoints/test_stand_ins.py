"""Plain data next to the weights is read past; code is refused and not run."""

import argparse
import os
import tempfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.checkpoints.stand_ins import STAND_INS, Inert
from robustbench_act.errors import InputError
from robustbench_act.models import build_model

MODEL = "cifar:resnet8?width=1"
FLAGS: dict[str, Any] = {"classes": 10, "input_size": (1, 8, 8), "mean": (0.1,), "std": (0.3,)}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(build_model(MODEL, channels=1).state_dict())


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that stores something with torch.save and loads it as a checkpoint."""
    monkeypatch.chdir(tmp_path)

    def store_and_load(content: object) -> Any:
        torch.save(content, "x.ckpt")
        return load_checkpoint("x.ckpt", MODEL, **FLAGS)

    return store_and_load


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, out=Path("runs")),
        np.float64(0.9),
        np.arange(3),
        np.array(["cat", "dog"]),
        np.array([{"a": 1}], dtype=object),
        np.random.default_rng(0).bit_generator.state,
        np.random.RandomState(0).get_state(),
        np.zeros(2, dtype=[("a", "f4")]),
        np.float32,
        Path("runs/best.pth"),
        PureWindowsPath("C:/runs"),
        defaultdict(list, loss=[1.0, np.float32(2)]),
        {"deep": [defaultdict(int, {("a", 1): np.int64(3)})]},
    ],
    ids=lambda beside: f"{type(beside).__name__}-{str(beside)[:12]}",
)
def test_plain_data_next_to_the_weights(
    beside: object, state: dict[str, Tensor], load: Callable[..., Any]
) -> None:
    found = load({"state_dict": defaultdict(dict, state), "beside": beside})
    assert found.digest == load(state).digest


def test_allowed_names_stand_for_empty_objects_of_our_own(
    state: dict[str, Tensor], load: Callable[..., Any]
) -> None:
    """Whatever a file gives to such a name, nothing comes of it; none stays allowed afterwards."""
    for stand_in, _ in STAND_INS:
        assert stand_in.__module__ == "robustbench_act.checkpoints.stand_ins"
        made = stand_in("touch", Path("it-ran"))
        assert made == {} or (type(made) is Inert and not vars(made))
    load(state)
    assert not set(STAND_INS) & set(torch.serialization.get_safe_globals())


class Calls:
    """A pickle of it asks for a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "hostile",
    [
        defaultdict(tempfile.mkdtemp),
        defaultdict(None, a=Calls(Path.touch, Path("it-ran"))),
        Calls(np.save, "it-ran", 3),
        Calls(np.load, "it-ran"),
        Calls(os.mkdir, "it-ran"),
        Calls(eval, "open('it-ran', 'w')"),
        np.array([Calls(Path.touch, Path("it-ran"))], dtype=object),
    ],
    ids=["factory", "value", "save", "load", "mkdir", "eval", "array"],
)
def test_code_next_to_the_weights_is_refused(
    hostile: object,
    state: dict[str, Tensor],
    load: Callable[..., Any],
) -> None:
    with pytest.raises(InputError, match="refused, the pickle asks for more than tensors"):
        load({"state_dict": state, "beside": hostile})
    assert not [path for path in Path().iterdir() if path.name != "x.ckpt"]


def test_a_forged_array_is_never_made(state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    """Flags of a dtype that call bytes pointers make NumPy follow them; here no array is made of them."""
    forged = Calls(np.dtype, "V8", False, True)
    forged.call = (*forged.call, (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 63))  # type: ignore[assignment]
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    array = Calls(reconstruct, np.ndarray, (0,), b"b")
    array.call = (*array.call, (1, (1,), forged, False, b"\x41" * 8))  # type: ignore[assignment]
    assert load({"state_dict": state, "beside": array}).digest == load(state).digest


@pytest.mark.parametrize(
    "attributes", [{"values": None, "keys": 2, "get": 3}, {"_metadata": 5}, {"_metadata": {"": 5}}]
)
def test_attributes_in_a_file_hide_no_methods(
    attributes: dict[str, object], state: dict[str, Tensor], load: Callable[..., Any]
) -> None:
    odd = OrderedDict(state)
    vars(odd).update(attributes)
    try:
        assert load({"model": odd}).digest == load(state).digest
    except InputError as error:
        assert "its load_state_dict raised AttributeError" in str(error)  # noqa: PT017 - as PyTorch does
