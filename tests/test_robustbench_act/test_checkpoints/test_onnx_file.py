"""ONNX files, against the same network in PyTorch's functions."""

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from torch import nn

from reports.analysis import Analysis
from reports.sections.layers import profile
from robustbench_act import evaluate
from robustbench_act.checkpoints import Checkpoint, find_checkpoints, load_checkpoint
from robustbench_act.checkpoints.files import unique_names
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import make_plan
from tests.references.onnx_files import expected, save_tiny

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
NORMALISED: dict[str, Any] = {"mean": 0.3, "std": 0.4}


@pytest.fixture
def digits() -> Dataset:
    return load_dataset("digits").subset(40)


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def loaded(path: Path, **options: Any) -> Checkpoint:
    return load_checkpoint(f"onnx:{path}", **{**NORMALISED, **options})


FORMS: dict[str, tuple[dict[str, Any], float]] = {
    "any batch": ({}, 1e-6),
    "one image": ({"shape": (1, 3, 8, 8)}, 1e-6),
    "four images": ({"shape": (4, 3, 8, 8)}, 1e-6),
    "channels last": ({"shape": ("n", 8, 8, 3)}, 1e-6),
    "half precision": ({"dtype": np.float16}, 5e-3),
    "weights beside": ({"beside": "weights.bin"}, 1e-6),
}


@pytest.mark.parametrize("form", FORMS)
def test_logits_are_those_of_the_same_network(form: str, inputs: torch.Tensor, tmp_path: Path) -> None:
    how, tolerance = FORMS[form]
    checkpoint = loaded(save_tiny(tmp_path / "tiny.onnx", **how))
    wanted = expected(inputs)
    for images in (inputs, inputs.to(memory_format=torch.channels_last), inputs[:5].requires_grad_()):
        with torch.autocast("cpu", torch.bfloat16):
            found = checkpoint.model(images)
        assert found.shape == (len(images), 10)
        assert (found - wanted[: len(images)]).abs().max() < tolerance * wanted.abs().max()
    assert checkpoint.spec.classes == 10
    assert checkpoint.spec.input_size == (3, 8, 8)
    assert checkpoint.spec.architecture == "onnx:tiny"


def test_answers_do_not_depend_on_batches_or_threads(inputs: torch.Tensor, tmp_path: Path) -> None:
    network = loaded(save_tiny(tmp_path / "tiny.onnx")).model
    whole = network(inputs)
    threads = torch.get_num_threads()
    try:
        for count in (2, 1):
            torch.set_num_threads(count)
            for size in (1, 2, 3, 7):
                assert torch.equal(torch.cat([network(part) for part in torch.split(inputs, size)]), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("beside", ["", "weights.bin"])
def test_a_network_can_be_sent_to_a_machine_without_its_file(
    beside: str, inputs: torch.Tensor, tmp_path: Path
) -> None:
    """Ray does; weights in other files must be there."""
    network = loaded(save_tiny(tmp_path / "tiny.onnx", beside=beside)).model
    sent = pickle.dumps(network)
    if not beside:
        (tmp_path / "tiny.onnx").unlink()
    there = pickle.loads(pickle.dumps(pickle.loads(sent)))
    assert torch.equal(there(inputs), network(inputs))


def test_accuracy_is_measured_and_that_no_layer_is_said(digits: Dataset, tmp_path: Path) -> None:
    name = f"onnx:{save_tiny(tmp_path / 'relu_3.onnx')}"
    onnx = load_checkpoint(name, labels={"activation": "relu", "architecture": "tiny"}, **NORMALISED)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.SiLU(), nn.Linear(12, 10))
    own = Checkpoint.of(net, name="own", data=digits, **NORMALISED)
    said: list[str] = []
    asked: dict[str, Any] = {"dataset": digits, "suites": ["light"], "severities": [3]}
    run = evaluate([onnx, own], **asked, out=tmp_path / "run", on_note=said.append)
    images = (digits.images.expand(-1, 3, -1, -1) / 255 - 0.3) / 0.4
    clean = run.cells.query("corruption == 'clean' and checkpoint == 'relu_3'").iloc[0]
    assert clean["correct"] == int((expected(images).argmax(1) == digits.known_labels).sum())
    assert (clean["activation"], clean["architecture"], clean["training_seed"]) == ("relu", "tiny", 3)
    assert set(run.layers["checkpoint"]) == {"own"}
    assert any("relu_3: its layers are not measured: onnxruntime computes it" in text for text in said)
    assert profile(Analysis(run)).panels[0].note.endswith("none of its layers can be.")
    assert "onnxruntime" in run.info.kernels


def test_several_outputs_and_probabilities_are_recognised(digits: Dataset, tmp_path: Path) -> None:
    names = {end: save_tiny(tmp_path / f"{end}.onnx", end=end) for end in ("hidden", "softmax", "")}
    names[""].rename(tmp_path / "plain.onnx")
    run = evaluate(
        f"onnx:{tmp_path}",
        dataset=digits,
        suites=["light"],
        severities=[3],
        out=tmp_path / "run",
        **NORMALISED,
    )
    assert run.cells.groupby(["corruption", "severity"])["correct"].nunique().max() == 1
    behaviours = {one.name: one.behaviour for one in run.info.checkpoints}
    assert behaviours["hidden"].entry == "answer"
    assert behaviours["softmax"].outputs == "probabilities"
    assert behaviours["plain"].outputs == "logits"
    assert len({one.digest for one in run.info.checkpoints}) == 3
    nothing = profile(Analysis(run)).nothing
    assert nothing.startswith("hidden, plain and softmax: its layers are not measured: onnxruntime computes")


def garbage(path: Path) -> None:
    path.write_bytes(b"GIF89a" + bytes(range(200)))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


REFUSED: dict[str, tuple[dict[str, Any], Callable[[Path], object], str]] = {
    "no file": ({}, Path.unlink, r"tiny\.onnx: no such file"),
    "another file": ({}, garbage, r"not a complete ONNX file \(it is a GIF picture"),
    "empty": ({}, lambda path: path.write_bytes(b""), r"not a complete ONNX file \(it is an empty file"),
    "cut off": ({}, cut_off, r"not a complete ONNX file \(it is cut off\)"),
    "two inputs": (
        {"second_input": True},
        Path.exists,
        r"expected images as its only input, got 2: images tensor\(float\) \(n, 3, 8, 8\), mask tensor",
    ),
    "classes, not logits": (
        {"end": "label"},
        Path.exists,
        r"expected logits as an output, got 1: label tensor\(int64\) \(n\)",
    ),
    "five axes": ({"shape": ("n", 3, 8, 8, 3)}, Path.exists, r"expected a batch of images|cannot load it"),
    "whole numbers": ({"dtype": np.int32}, Path.exists, r"of floating-point numbers, got|cannot load it"),
    "open channels": ({"shape": ("n", "c", 8, 8)}, Path.exists, r"with 1 or 3 channels.* \(n, c, 8, 8\)"),
    "open size": (
        {"shape": ("n", 3, "h", "w")},
        Path.exists,
        r"\(n, 3, h, w\), leaves the size open; add --i",
    ),
    "an operator of one's own": (
        {"domain": "mine"},
        Path.exists,
        r"onnxruntime cannot load it \(.*mine:Relu",
    ),
    "weights elsewhere": (
        {"beside": "w.bin"},
        lambda path: path.write_bytes(path.read_bytes().replace(b"w.bin", b"../wb")),
        r"expected its weights in files next to it, got '\.\./wb'",
    ),
    "weights gone": (
        {"beside": "w.bin"},
        lambda path: path.with_name("w.bin").unlink(),
        r"its weights are in .*w\.bin, and no such file is there",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    how, change, message = REFUSED[case]
    change(save_tiny(tmp_path / "tiny.onnx", **how))
    with pytest.raises(InputError, match=message) as error:
        loaded(tmp_path / "tiny.onnx")
    assert str(error.value).startswith(f"onnx:{tmp_path / 'tiny.onnx'}: ")
    assert "\n" not in str(error.value)


def test_what_does_not_fit_the_data_is_refused(
    digits: Dataset, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    save_tiny(tmp_path / "tiny.onnx")
    name, flags = f"onnx:{tmp_path / 'tiny.onnx'}", ("--mean", "0.3,0.3,0.3", "--std", "0.4,0.4,0.4")
    for options, message in (
        (("--dataset", "digits"), "add --mean, --std (or [spec] in a manifest)"),
        ((*flags, "--dataset", "mnist-1k"), "expects images of (C, H, W) = (3, 8, 8), got (1, 28, 28)"),
        ((*flags, "--dataset", "digits", "--precision", "bf16"), "onnxruntime computes as the file says"),
        (
            (*flags, "--dataset", "digits", "--compile", "--no-probes"),
            "leave out --compile and --precision",
        ),
        ((*flags, "--dataset", "digits", "--activation", "silu"), "which --activation cannot change"),
    ):
        result = actrobust("evaluate", name, *options)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert message in result.stderr
    probed = actrobust("probe", name, *flags, "--dataset", "digits")
    assert probed.exit_code == 2
    assert "no layer can be measured: onnxruntime computes it" in probed.stderr
    looked = actrobust("doctor", name, *flags, "--dataset", "digits")
    assert "WRONG  tiny     its layers" not in looked.output
    with pytest.raises(InputError, match="has 10 classes, dataset 'digits' has 5"):
        make_plan(load_checkpoint(name, **NORMALISED), dataset=five(digits))


def five(data: Dataset) -> Dataset:
    few = data[data.known_labels < 5]
    return replace(few, classes=few.classes[:5])


def test_without_the_library_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny(tmp_path / "tiny.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'actrobust\[onnx\]'"):
        loaded(tmp_path / "tiny.onnx")


def test_names_and_a_changed_file(tmp_path: Path) -> None:
    for number in (1, 2):
        save_tiny(tmp_path / f"relu_{number}.onnx", beside=f"w{number}.bin")
    found = find_checkpoints([f"onnx:{tmp_path}/relu_?.onnx"])
    assert found == find_checkpoints([f"onnx:{tmp_path}"])
    assert unique_names(found) == ["relu_1", "relu_2"]
    with pytest.raises(InputError, match=rf"give it as onnx:{tmp_path / 'relu_1.onnx'}"):
        find_checkpoints([tmp_path / "relu_1.onnx"])
    first = loaded(tmp_path / "relu_1.onnx")
    first.put_down()
    weights = tmp_path / "w1.bin"
    weights.write_bytes(weights.read_bytes()[::-1])
    with pytest.raises(InputError, match="the network has changed since it was first read"):
        _ = first.model


@pytest.mark.slow
def test_processes_and_batch_sizes_give_the_same_numbers(digits: Dataset, tmp_path: Path) -> None:
    name = f"onnx:{save_tiny(tmp_path / 'tiny.onnx')}"
    asked: dict[str, Any] = {"dataset": digits, "suites": ["noise"], "severities": [3], **NORMALISED}
    one = evaluate(name, **asked, out=tmp_path / "one")
    assert evaluate(name, **asked, out=tmp_path / "two", processes=2, batch_size=7).cells.equals(one.cells)
    assert evaluate(name, **asked, out=tmp_path / "three", threads=2).cells.equals(one.cells)
