"""Who does the work changes no number; what dies of a unit takes nothing else with it."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch import nn

from corruptions import get_suite
from robustbench_act.checkpoints import Spec, load_checkpoint, save_checkpoint
from robustbench_act.datasets import Dataset, load_dataset, pair_corrupted
from robustbench_act.errors import InputError
from robustbench_act.evaluation import Execution, evaluate, make_plan
from robustbench_act.evaluation.engine import _tasks
from robustbench_act.evaluation.executors import Crew, RayCrew
from robustbench_act.generation import Generation, generate
from robustbench_act.models import build_model
from robustbench_act.records import DamagedPartError, RunDirectory, directory
from robustbench_act.run import Run
from tests.references.grid import TABLES, many_images

ELSEWHERE: dict[str, dict[str, Any]] = {
    "processes": {"processes": 2},
    "ray": {"executor": "ray", "processes": 2},
}
EACH = [pytest.param("processes"), pytest.param("ray", marks=pytest.mark.slow)]
SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in ELSEWHERE]
GRID: dict[str, Any] = {"suites": ["noise"], "severities": [1, 4], "probe_images": 256, "device": "cpu"}

NETWORK = """
import os, signal
from pathlib import Path
from torch import nn
from robustbench_act.models import build_model

class Network(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.body = build_model("cifar:resnet8?width=4", classes=classes, channels=channels)

    def forward(self, x):
        {act}
        return self.body(x)

def make(classes, channels):
    return Network(classes, channels)
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
UNLESS_MARKED = 'if not Path("{marker}").exists(): '
IF_WORKER = 'if os.getpid() != {parent} and not Path("{marker}").exists(): '  # with Ray, the look is here
DIE_ONCE = 'if len(x) > 16 and not Path("{marker}").exists(): Path("{marker}").touch(); ' + DIE  # in a unit


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return images with corrupted versions in .npy files."""
    made = Generation(many_images(300), get_suite("light").with_severities(GRID["severities"]))
    return pair_corrupted(many_images(300), generate(made, tmp_path_factory.mktemp("stored") / "many-c"))


@pytest.fixture(scope="module")
def here(checkpoints: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("here") / "run"
    return evaluate([checkpoints], dataset=data, out=out, **GRID)


@pytest.fixture
def factory(module: Callable[[str, str], str], tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that saves a network which does something in its forward pass."""

    def make(name: str, act: str) -> Path:
        marker = tmp_path / "marker"
        made = module(name, NETWORK.format(act=act.format(marker=marker, parent=os.getpid())))
        namespace: dict[str, Any] = {}
        exec((tmp_path / f"{made}.py").read_text(), namespace)
        path = tmp_path / f"{name}.pt"
        torch.manual_seed(1)
        torch.save(namespace["make"](10, 1).state_dict(), path)
        return path

    return make


def loaded(path: Path) -> Any:
    data = many_images(1)
    return load_checkpoint(path, f"{path.stem}:make", data=data, mean=data.mean, std=data.std)


@pytest.mark.parametrize("where", EACH)
def test_tables_are_the_same_to_the_bit(
    where: str,
    *,
    data: Dataset,
    here: Run,
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a script on standard input too, on a platform that has set RAY_ADDRESS, and merged elsewhere."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.delattr(directory, "merge_cells")  # of this process
    images: list[int] = []
    out = tmp_path / "run"
    evaluate(
        [checkpoints],
        dataset=data,
        out=out,
        on_start=lambda plan, _: images.append,
        **ELSEWHERE[where],
        **GRID,
    )
    for name in TABLES:
        assert (out / name).read_bytes() == (here.path / name).read_bytes(), name
    for part in here.path.glob("parts/*.zip"):
        assert (out / "parts" / part.name).read_bytes() == part.read_bytes()
    samples = sorted(path.name for path in here.path.glob("samples/*.png"))
    assert sorted(path.name for path in out.glob("samples/*.png")) == samples
    assert sum(images) == 4 * 300 * (1 + 4 * 2 + 2 * 2)


def test_no_stored_pixel_travels_with_a_unit(data: Dataset, checkpoints: Path, tmp_path: Path) -> None:
    """Eight bytes for each place in a file: its path is sent, not what is in it."""
    plan = make_plan([checkpoints], dataset=data)
    with RunDirectory.open(tmp_path / "run", plan.describe(), resume=True) as directory:
        tasks = list(_tasks(plan, "", directory, Execution(torch.device("cpu"))))
    for task in tasks:
        task.read()
        images, cells = len(task.chunk.ids), len(task.unit.cells)
        assert len(pickle.dumps(task.unit)) < 8 * images * (1 + cells) + 5000
    assert {(len(task.chunk.ids), len(task.unit.cells)) for task in tasks} == {(300, 4)}


def _halved(number: int) -> tuple[int, float]:
    """Return the process that halves a number; one that gets 3 dies, one that gets 5 finds it damaged."""
    if number == 3 and os.getpid() != int(os.environ["TEST_PARENT"]):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise DamagedPartError(Path("5.zip"), "gone")
    return os.getpid(), number / 2


@pytest.mark.slow
@pytest.mark.parametrize("crew", [Crew(2), RayCrew(processes=2)], ids=list(ELSEWHERE))
def test_a_crew_maps_in_order(crew: Crew | RayCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process dies of is done here, and an error comes back as it was raised."""
    monkeypatch.setenv("TEST_PARENT", str(os.getpid()))
    with crew:
        found = list(crew.map(_halved, range(5)))
        with pytest.raises(DamagedPartError, match=r"5\.zip: a damaged part of the run \(gone\)") as error:
            list(crew.map(_halved, [4, 5]))
    assert error.value.path == Path("5.zip")
    assert [half for _, half in found] == [0, 0.5, 1, 1.5, 2]
    assert [place for place, (process, _) in enumerate(found) if process == os.getpid()] == [3]


@pytest.mark.slow
@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_process_that_dies_is_replaced(
    where: str,
    *,
    factory: Callable[[str, str], Path],
    data: Dataset,
    here: Run,
    checkpoints: Path,
    tmp_path: Path,
) -> None:
    """Its unit is done again, and nothing shows that it died."""
    path = factory(f"dies_once_{where}", DIE_ONCE)
    others = sorted(checkpoints.glob("*.safetensors"))
    run = evaluate([*others, loaded(path)], dataset=data, out=tmp_path / "run", **ELSEWHERE[where], **GRID)
    assert (tmp_path / "marker").exists()
    assert run.cells["error"].isna().all()
    same = run.cells[run.cells["checkpoint"] != path.stem].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, here.cells, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_network_that_always_kills_takes_no_other_with_it(
    where: str, factory: Callable[[str, str], Path], checkpoints: Path, tmp_path: Path
) -> None:
    """Its cells alone are marked failed; who goes on with the run has them done again."""
    path = factory(f"dies_{where}", {"processes": UNLESS_MARKED, "ray": IF_WORKER}[where] + DIE)
    others = sorted(checkpoints.glob("relu_*.safetensors"))
    options: dict[str, Any] = {
        "dataset": many_images(8),
        "out": tmp_path / "run",
        "device": "cpu",
        "suites": ["light"],
        "severities": [1],
    }
    run = evaluate([others[0], loaded(path), others[1]], **options, **ELSEWHERE[where])
    failed = run.cells["error"].notna()
    if where == "processes":
        assert f"{path.stem}: fails on a few images" in run.network_notes[0]
        assert run.network_notes[0].endswith("its process died.")
    times = {"processes": 3, "ray": 4}[where]
    assert run.cells.loc[failed, "checkpoint"].unique().tolist() == [path.stem]
    assert run.cells.loc[failed, "error"].str.contains(f"died, {times} times").all()
    assert failed.sum() == 3
    (tmp_path / "marker").touch()
    mended = evaluate([others[0], loaded(path), others[1]], **options)
    assert mended.cells["error"].isna().all()
    assert not list(tmp_path.glob("run/parts/*.failed.zip"))
    others_before, others_now = (one.cells[~failed].drop(columns="error") for one in (run, mended))
    pd.testing.assert_frame_equal(others_now, others_before, check_exact=True)


@pytest.mark.slow
def test_processes_that_cannot_start_are_said(checkpoints: Path, tmp_path: Path) -> None:
    """A script without a guard, and a network of one from standard input: one line, nothing marked."""
    script = tmp_path / "script.py"
    text = f"""
        from pathlib import Path
        from dataclasses import replace
        from torch import nn
        from robustbench_act import evaluate, load_checkpoint, load_dataset
        class Own(nn.Module):
            def forward(self, x): return x.flatten(1)[:, :10]
        checkpoint = replace(load_checkpoint("{checkpoints / "relu_1.safetensors"}"), load=Own().eval)
        data = load_dataset("digits").subset(8)
        evaluate([checkpoint], dataset=data, processes=2, out="run", device="cpu", suites=["light"])
    """
    script.write_text(textwrap.dedent(text))
    for command, reason in (
        (["script.py"], "a script must keep its code under if __name__ == '__main__'"),
        (["-"], "AttributeError: Can't get attribute 'Own'"),
    ):
        call = [sys.executable, *command]
        with script.open() as source:
            done = subprocess.run(
                call, cwd=tmp_path, stdin=source, capture_output=True, text=True, check=False
            )
        assert done.returncode == 1
        assert "InputError: A process cannot be started" in done.stderr.splitlines()[-1], done.stderr
        assert reason in done.stderr.splitlines()[-1]
        assert not list((tmp_path / "run").glob("parts/*"))


@pytest.mark.slow
@pytest.mark.parametrize("where", ELSEWHERE)
def test_what_a_worker_raises_comes_back(where: str, tmp_path: Path) -> None:
    """A picture that cannot be read when its turn comes stops the run by name."""
    clean, stored = tmp_path / "clean", tmp_path / "stored" / "fog" / "1"
    digits = load_dataset("digits").subset(20)
    for number, image in enumerate(digits.images):
        for folder in (clean / "a", stored / "a"):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(folder / f"{number:03d}.png")
    data = pair_corrupted(load_dataset(f"folder:{clean}"), tmp_path / "stored")
    checkpoint = load_checkpoint(_of_one_class(tmp_path / "one.safetensors"))

    (stored / "a" / "003.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"003\.png"):
        evaluate(
            [checkpoint],
            dataset=data,
            device="cpu",
            out=tmp_path / "run",
            **ELSEWHERE[where],
        )


def _of_one_class(path: Path) -> Path:
    """Save a network for one class."""
    spec = Spec("cifar:resnet8?width=2", "relu", 1, (1, 8, 8), (0.3,), (0.3,))
    save_checkpoint(path, build_model(spec.architecture, classes=1, channels=1), spec)
    return path


@pytest.mark.parametrize("where", ["here", *SLOWLY])
def test_a_poisoned_checkpoint_among_ten(
    where: Any, checkpoints: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    """One with weights that give no finite logits: nine are complete, and the exit code is 1."""
    folder = tmp_path / "ten"
    folder.mkdir()
    first = load_checkpoint(checkpoints / "relu_1.safetensors")
    for number in range(10):
        if number == 4:
            first.model.get_parameter("layers1.0.conv1.bias")[1] = 3e38
            save_checkpoint(folder / f"{number}.safetensors", first.model, first.spec)
            first.put_down()
        else:
            os.link(checkpoints / "relu_1.safetensors", folder / f"{number}.safetensors")
    flags = {
        "here": [],
        "processes": ["--processes", 2],
        "ray": ["--executor", "ray", "--processes", 2],
    }[where]
    arguments = ["--dataset", "digits", "--suite", "light", "--severity", 1, "--limit", 20, "--out", "out"]
    result = actrobust("evaluate", folder, *arguments, *flags)
    assert result.exit_code == 1, result.output
    assert "failed: 4: logits that are not finite" in result.stdout
    cells = pd.read_parquet("out/cells")
    good = cells[cells["error"].isna()]
    assert good["checkpoint"].nunique() == 9
    assert len(good) == 9 * 3
    assert good["n"].eq(20).all()


def test_a_network_that_cannot_travel_is_said(checkpoints: Path, tmp_path: Path) -> None:
    class Local(nn.Module):
        pass

    checkpoint = replace(load_checkpoint(checkpoints / "relu_1.safetensors"), load=Local)
    with pytest.raises(InputError, match="cannot be sent to a worker process"):
        evaluate([checkpoint], dataset=many_images(8), processes=2, out=tmp_path / "run", **GRID)


@pytest.mark.parametrize(
    ("images", "ways", "several"),
    [
        (1200, {}, True),  # 4 networks x 1,200 images x (1 + 4 x 5) versions
        (100, {}, False),  # too few to pay for the start
        (1200, {"processes": None}, False),
        (1200, {"threads": 2}, False),
    ],
)
def test_processes_where_nobody_says_how_many(
    images: int, ways: dict[str, Any], several: bool, checkpoints: Path
) -> None:
    plan = make_plan([checkpoints], dataset=many_images(images), suites=["noise"])
    found = Execution(torch.device("cpu"), **{"processes": "auto", **ways}).for_plan(plan).processes
    cores = len(os.sched_getaffinity(0))
    assert found == (min(cores, 8) if several else None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"executor": "rai"}, "Unknown executor 'rai'. Did you mean 'ray'?"),
        ({"processes": 0}, "Expected processes of at least 1, got 0."),
        ({"threads": 0}, "Expected threads of at least 1, got 0."),
        ({"ray_address": "auto"}, "goes with --executor ray"),
        ({"precision": "fp8"}, "Unknown precision 'fp8'"),
        ({"precision": "tf32"}, "tf32 needs a CUDA device"),
    ],
)
def test_wrong_ways_to_compute(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Execution(torch.device("cpu"), **change)
    assert message in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
def test_a_ray_cluster_that_is_not_there(
    address: str, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"No Ray cluster at 127\.0\.0\.1:1 "):
        evaluate(
            [checkpoints],
            dataset=many_images(8),
            executor="ray",
            ray_address=address,
            out=tmp_path / "run",
            **GRID,
        )


@pytest.mark.slow
def test_a_unit_that_needs_more_than_the_cluster_has(checkpoints: Path, tmp_path: Path) -> None:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    try:
        with pytest.raises(InputError, match="has 1 CPU cores and 0 GPUs; a unit needs 2 CPU cores"):
            evaluate(
                [checkpoints],
                dataset=many_images(8),
                executor="ray",
                threads=2,
                out=tmp_path / "run",
                **GRID,
            )
        assert ray.is_initialized()  # what was there before is left as it was
    finally:
        ray.shutdown()
