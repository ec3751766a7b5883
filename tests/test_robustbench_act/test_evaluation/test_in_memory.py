"""Modules from memory: evaluated like files of their weights, and left exactly as they were."""

import gc
import pickle
import weakref
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import robustbench_act
from robustbench_act.checkpoints import Checkpoint, Spec, save_checkpoint
from robustbench_act.checkpoints.checkpoint import _CACHE
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate, make_plan
from robustbench_act.evaluation.executors import Crew, run_in_processes
from robustbench_act.evaluation.work import Job
from robustbench_act.evaluation.worker import Worker
from robustbench_act.models import build_model

GRID: dict[str, Any] = {
    "dataset": "digits",
    "suites": ["light"],
    "severities": [3],
    "limit": 20,
    "device": "cpu",
    "mean": 0.3,
    "std": 0.4,
}


class Gated(nn.Module):
    """An activation of a user's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class Net(nn.Module):
    """A small classifier of digits with BatchNorm, whose statistics a pass in training mode would move."""

    def __init__(self, act: nn.Module | None = None, *, seed: int = 0, hidden: int = 8) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first, self.last = nn.Linear(64, hidden), nn.Linear(hidden, 10)
        self.norm, self.act = nn.BatchNorm1d(hidden), act or nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        return self.last(self.act(self.norm(self.first(x.flatten(1)))))


def in_use(net: Net) -> Net:
    """Return a network in the middle of a user's training: with hooks, gradients and a frozen layer."""
    net.last.weight.requires_grad_(False)
    net(torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))).sum().backward()
    net.first.register_forward_hook(lambda *_: None)
    net.register_buffer("extra", torch.ones(2), persistent=False)
    net.norm.eval()
    return net


def state(net: nn.Module) -> list[Any]:
    """Return all of a network that an evaluation might change."""
    tensors = [*net.named_parameters(), *net.named_buffers()]
    return [
        [(part.training, len(part._forward_hooks), len(part._forward_pre_hooks)) for part in net.modules()],
        [(name, id(own), own._version, own.requires_grad, own.device) for name, own in tensors],
        [(name, own.tolist(), own.stride()) for name, own in tensors],
        [None if own.grad is None else own.grad.tolist() for own in net.parameters()],
        [sorted(vars(part)) for part in net.modules()],
    ]


def test_they_have_the_numbers_of_their_files(tmp_path: Path) -> None:
    """And the names that they are given: a dictionary's keys are activations, their modules are numbered."""
    nets = [build_model("cifar:resnet8?width=2", activation="silu", channels=1) for _ in range(2)]
    spec = Spec("cifar:resnet8?width=2", "silu", 10, (1, 8, 8), (0.3,), (0.4,))
    for number, net in enumerate(nets, start=1):
        save_checkpoint(
            tmp_path / f"nets/Mine_{number}.safetensors", net, spec.override(training_seed=number)
        )
    found = evaluate({"Mine": nets}, labels={"architecture": "small"}, **GRID, out=tmp_path / "memory")
    files = evaluate(tmp_path / "nets", **GRID, out=tmp_path / "files")
    named = ["architecture", "activation"]
    for one, other in ((found.cells, files.cells), (found.layers, files.layers)):
        assert one[named].drop_duplicates().to_numpy().tolist() == [["small", "Mine"]]
        pd.testing.assert_frame_equal(one.drop(columns=named), other.drop(columns=named), check_exact=True)
    assert found.cells["checkpoint"].unique().tolist() == ["Mine_1", "Mine_2"]
    assert found.leaderboard()["seeds"].tolist() == [2]


def test_a_module_is_left_as_it_was(tmp_path: Path) -> None:
    """In training mode, with hooks, gradients, frozen and half-frozen parts; also after an error."""
    net = in_use(Net(Gated()))
    before, generator = state(net), torch.get_rng_state()
    run = evaluate(net, **GRID, out=tmp_path / "run")
    assert run.cells["error"].isna().all()
    assert state(net) == before

    def stop(plan: object, out: object) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([net], **GRID, out=tmp_path / "stopped", on_start=stop)
    with pytest.raises(InputError, match=r"Net: expects images of"):
        evaluate(Checkpoint.of(net, mean=0, std=1, input_size=(1, 4, 4), classes=10), dataset="digits")
    assert state(net) == before
    assert torch.equal(torch.get_rng_state(), generator)
    kept = weakref.ref(net)
    del net, run
    gc.collect()
    assert kept() is None


def test_what_tables_call_them() -> None:
    """The activation of the layers, the class; labels and numbers where they are asked for."""

    def named(given: Any, **options: Any) -> list[tuple[str, str, str, int]]:
        found = make_plan(given, spec={"mean": 0.3, "std": 0.4, **options}, dataset="digits", limit=20)
        return [
            (one.name, one.spec.architecture_name, one.spec.activation_name, one.spec.training_seed)
            for one in found.checkpoints
        ]

    assert named(Net()) == [("Net", "Net", "relu", 0)]
    assert named([Net(Gated()), Net(nn.ELU(0.5)), Net(seed=1)]) == [
        ("Net_1", "Net", "Gated", 1),
        ("Net_2", "Net", "elu(alpha=0.5)", 2),
        ("Net_3", "Net", "relu", 3),
    ]
    both = {"la_silu": Net(), "Cube": [Net(seed=1), Net(seed=2)]}
    assert named(both, labels={"architecture": "cnn"}) == [
        ("la_silu", "cnn", "la_silu", 0),
        ("Cube_1", "cnn", "Cube", 1),
        ("Cube_2", "cnn", "Cube", 2),
    ]
    nets = {"a": Net(), "b": Net(nn.PReLU(8), seed=1), "c": Net(hidden=9)}
    assert len(named({name: nets[name] for name in "ab"})) == 2  # they differ inside their activations alone
    assert len(named(nets, labels={"architecture": "cnn"})) == 3
    own = Checkpoint.of(
        Net(), name="a", mean=[0.3], std=[0.4], input_size=(1, 8, 8), group="g", training_seed=9
    )
    assert own.spec.labels == {"activation": "relu", "group": "g", "architecture": "Net"}
    assert (own.spec.classes, own.spec.training_seed) == (10, 9)
    numbers: dict[str, Any] = {"mean": np.float32(0.3), "std": torch.tensor([0.4])}
    numbers["training_seed"] = np.int64(4)
    again = Checkpoint.of(Net(), input_size=(1, 8, 8), labels={"activation": "Cube"}, **numbers)
    assert again.spec.labels == {"activation": "Cube", "architecture": "Net"}
    assert Spec.from_json(again.spec.to_json(), where="here") == again.spec
    assert named([own, nn.DataParallel(Net(seed=3))])[1][1:] == ("Net", "relu", 0)


def test_the_digest_tells_weights_classes_and_settings_apart() -> None:
    def digest(net: nn.Module) -> str:
        return Checkpoint.of(net, mean=0.3, std=0.4, input_size=(1, 8, 8)).digest

    first = digest(Net())
    assert digest(in_use(Net())) != first  # its statistics have moved
    assert digest(deepcopy(Net()).eval()) == first
    others = [Net(seed=1), Net(Gated()), Net(nn.LeakyReLU(0.1)), Net(nn.LeakyReLU(0.2)), Net(), Net()]
    for value, net in enumerate(others[-2:]):
        net.register_buffer("extra", torch.full((2,), float(value)), persistent=False)
    assert len({first, *map(digest, others)}) == 7


def test_a_module_that_is_changed_later_is_another_run(tmp_path: Path) -> None:
    net = Net()
    kept = Checkpoint.of(net, mean=0.3, std=0.4, data=load_dataset("digits"))
    options = {name: value for name, value in GRID.items() if name not in ("mean", "std")}
    first = evaluate(kept, **options, out=tmp_path / "run")
    with torch.no_grad():
        net.last.weight.zero_()
    again = evaluate(kept, **options, out=tmp_path / "run")
    pd.testing.assert_frame_equal(first.cells, again.cells, check_dtype=False)
    with pytest.raises(InputError, match=r"a different plan \(checkpoints\[0\].digest"):
        evaluate(net, **GRID, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Net(), Net()], "Net_1 and Net_2 are one network, with the same weights; give it once"),
        ({"a": Net(), "b": Net()}, "a and b are one network"),
        (
            [Net(), Net(hidden=9)],
            r"Net_1 and Net_2 would be averaged as trainings of one network \(Net, relu\)",
        ),
        (
            {"a": Net(), "b": Net(hidden=9)},
            "a and b are both of the class Net, but differ in more",
        ),
        ({"a": 3}, "a: expected a module or a list of modules, got 3"),
        ({"a": [Net(), "b.pt"]}, "a_2: expected a torch.nn.Module, got str"),
        ([Net(), 3], "Expected checkpoints: paths, modules or Checkpoint objects, got 3"),
        (3, "Expected checkpoints: paths, modules or Checkpoint objects, got 3"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "Sequential: has lazy layers without weights"),
        (torch.compile(Net()), "is a compiled network, whose layers cannot be watched; return it as it is"),
    ],
)
def test_wrong_networks_are_named(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(given, spec={"mean": 0.3, "std": 0.4}, dataset="digits")


def test_what_is_missing_is_said() -> None:
    with pytest.raises(
        InputError, match=r"Net: pass mean and std, .*; the usual ones of digits are mean=\[0\.3"
    ):
        evaluate(Net(), dataset="digits")
    with pytest.raises(
        InputError, match=r"Net: pass std, on the .* scale, as it was trained: mean=0.1307, or"
    ):
        Checkpoint.of(Net(), mean=0.1)
    with pytest.raises(InputError, match=r"Net: pass input_size=\(C, H, W\)"):
        Checkpoint.of(Net(), mean=0.1, std=1)
    with pytest.raises(
        InputError, match=r"Net: fails on images of \(1, 9, 9\) \(RuntimeError: mat1.*pass classes="
    ):
        Checkpoint.of(Net(), mean=0.1, std=1, input_size=(1, 9, 9))
    with pytest.raises(InputError, match=r"Net: Expected mean and std with 1 value"):
        Checkpoint.of(Net(), mean=[0.1, 0.2], std=1, input_size=(1, 8, 8))
    with pytest.raises(InputError, match=r"Unknown field of a spec 'clases'. Did you mean 'classes'"):
        Checkpoint.of(Net(), mean=0.1, std=1, input_size=(1, 8, 8), clases=10)


def test_a_copy_that_still_calls_the_module_is_refused() -> None:
    """A function that refers to the module would run it in its training mode, and move its statistics."""
    net = Net()
    net.forward = lambda x: net.last(net.act(net.norm(net.first(x.flatten(1)))))  # type: ignore[method-assign]
    before = state(net)
    with pytest.raises(InputError, match="Net: its copy calls the module that it was copied from"):
        make_plan(net, spec={"mean": 0.3, "std": 0.4}, dataset="digits")
    assert state(net) == before
    other = Net()
    other.forward = partial(Net.forward, other)  # type: ignore[method-assign]
    make_plan(other, spec={"mean": 0.3, "std": 0.4}, dataset="digits")


def test_what_a_pass_has_left_in_a_module_does_not_matter() -> None:
    net = Net()
    net.seen = net(torch.rand(4, 1, 8, 8))  # a part of a graph, which cannot be copied
    make_plan(net, spec={"mean": 0.3, "std": 0.4}, dataset="digits")
    vars(net)["lines"] = (line for line in "ab")
    with pytest.raises(InputError, match=r"Net: cannot be copied .*generator.*; give a file of its weights"):
        make_plan(net, spec={"mean": 0.3, "std": 0.4}, dataset="digits")


def test_memory_is_counted_for_files_alone(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = robustbench_act.load_checkpoint(checkpoints / "relu_1.safetensors")
    monkeypatch.setattr(_CACHE, "room", 1)
    own = Checkpoint.of(Net(), mean=0.3, std=0.4, input_size=(1, 8, 8))
    assert file.model is not None
    assert own.model is own.model
    assert file.is_held
    own.put_down()
    assert own.model is not None


class Wrapped(Net):
    """Returns a dictionary."""

    def forward(self, x: Tensor) -> Any:
        return {"features": x, "scores": super().forward(x)}


ELSEWHERE = [
    pytest.param({"processes": 2}, id="processes", marks=pytest.mark.slow),
    pytest.param({"executor": "ray", "processes": 2}, id="ray", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("where", ELSEWHERE)
def test_other_processes_give_the_same_numbers(where: dict[str, Any], tmp_path: Path) -> None:
    nets = {"relu": Wrapped(), "Gated": Wrapped(Gated())}
    here = evaluate(nets, **GRID, out=tmp_path / "here")
    there = evaluate(nets, **GRID, **where, out=tmp_path / "there")
    pd.testing.assert_frame_equal(here.cells, there.cells, check_exact=True)
    pd.testing.assert_frame_equal(here.layers, there.layers, check_exact=True)
    assert here.info.checkpoints[0].behaviour.entry == "scores"
    assert here.network_notes == ["relu and Gated: returns more than a tensor; its entry 'scores' is used."]


def test_what_travels_is_the_same_network() -> None:
    kept = Checkpoint.of(Wrapped(Gated()), mean=0.3, std=0.4, input_size=(1, 8, 8))
    _ = kept.model
    there, x = pickle.loads(pickle.dumps(kept)), torch.rand(5, 1, 8, 8)
    assert there.digest == kept.digest
    assert torch.equal(there.model(x)["scores"], kept.model(x)["scores"])


def test_what_cannot_be_sent_is_named_before_anything_is_done() -> None:
    class Local(Net):
        pass

    plan = make_plan([Net(seed=1), Local()], spec={"mean": 0.3, "std": 0.4}, dataset="digits")
    job = Job(tuple(plan.checkpoints), 0, True, torch.device("cpu"), 128)
    with pytest.raises(
        InputError, match=r"Local: cannot be sent to a worker process .*; define its parts at"
    ):
        next(run_in_processes(job, iter([]), Crew(1)))


def test_a_run_in_which_everything_failed_says_so(tmp_path: Path) -> None:
    """With the finished run; if only some failed, a note names them."""
    bad = Net(seed=1)
    with torch.no_grad():
        bad.last.bias[0] = torch.nan
    notes: list[str] = []
    run = evaluate([Net(), bad], **GRID, out=tmp_path / "some", on_note=notes.append)
    assert run.failures()["checkpoint"].tolist() == ["Net_2"]
    reason = "weights that are not finite (NaN or infinite) in 1: last.bias"
    assert notes == [f"Net_2 failed in {len(run.cells) // 2} cells: {reason}."]
    with pytest.raises(robustbench_act.EvaluationFailedError) as error:
        evaluate(bad, **GRID, out=tmp_path / "all")
    assert str(error.value) == f"{tmp_path / 'all'}: every checkpoint failed: Net: {reason}."
    assert error.value.run.cells["error"].eq(reason).all()
    assert error.value.run.info.status == "complete"


def test_a_mean_that_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected mean and std as a number, or one per channel"):
        evaluate(Net(), **{**GRID, "mean": "x"}, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"colour": "x"}, "Unknown label 'colour'. Choose from: activation, architecture, group."),
        ({"training_seed": "3"}, "Unknown label 'training_seed'."),
        (3, "Expected labels as a dictionary, got 3."),
    ],
)
def test_labels_that_there_are_not(labels: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        evaluate(Net(), **GRID, labels=labels, out=tmp_path / "run")
    assert str(error.value).startswith(message)


def test_a_network_is_not_left_compiled() -> None:
    """The next run with the same checkpoint would compute with it, and say that it does not."""
    kept = Checkpoint.of(Net(), mean=0.3, std=0.4, input_size=(1, 8, 8))
    worker = Worker(Job((kept,), 0, False, torch.device("cpu"), 128, compiled=True))
    network: Any = worker._network(kept)
    assert network._compiled_call_impl is not None
    worker.release()
    assert kept.model is network
    assert network._compiled_call_impl is None


@pytest.mark.slow
def test_compiled_networks_of_any_output(tmp_path: Path) -> None:
    run = evaluate({"a": Wrapped()}, **GRID, compiled=True, probes=False, out=tmp_path / "run")
    assert run.cells["error"].isna().all()
