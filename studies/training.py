"""The stages pilot and train: networks, and an archive of those of each activation."""

import io
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import robustbench_act
from robustbench_act.activations.facts import NATIVE
from robustbench_act.atomic_files import write_atomically
from robustbench_act.checkpoints import Spec, read_spec
from robustbench_act.errors import DivergedError, InputError
from robustbench_act.training import Job, plan_grid
from studies.study import Study
from studies.tables import write_csv, write_parquet

_EPOCH = (2026, 1, 1, 0, 0, 0)  # of every member of an archive: equal networks make equal files


def run_pilot(study: Study, processes: int) -> None:
    """Train every activation with every learning rate of the pilot; write results/pilot.csv."""
    path = study.results / "pilot.csv"
    if path.exists():
        return
    grid = [(activation, lr) for activation in study.activations for lr in study.pilot["lr"]]
    settings = {"seeds": study.pilot["seeds"], **{**study.train, "track": None}}
    tasks = [
        partial(train_all, study, activation, out=study.work / "pilot" / f"lr{lr:g}", lr=lr, **settings)
        for activation, lr in grid
    ]
    rows = [
        {"activation": activation, "lr": lr, "seed": seed, "validation_accuracy": spec.validation_accuracy}
        for (activation, lr), networks in zip(grid, in_processes(tasks, processes), strict=True)
        for seed, spec in networks.items()
    ]
    write_csv(path, pd.DataFrame(rows))


def train_networks(study: Study, processes: int) -> None:
    """Train the networks of the study, an activation at a time in each process, and archive them."""
    rates = study.rates()
    todo = [activation for activation in study.activations if not study.archive(activation).exists()]
    tasks = [partial(_train_and_archive, study, activation, lr=rates[activation]) for activation in todo]
    for _ in in_processes(tasks, processes):
        pass
    unpack(study)


def unpack(study: Study) -> None:
    """Unpack the archives of the networks into a folder that has nothing else."""
    paths = [study.archive(activation) for activation in study.activations]
    if lost := next((path for path in paths if not path.exists()), None):
        raise InputError(f"{lost}: no such file; run the stage train first.")
    shutil.rmtree(study.unpacked, ignore_errors=True)
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                write_atomically(study.unpacked / Path(name).name, archive.read(name))


def write_networks(study: Study) -> None:
    """Write results/networks.csv, and the curves and tracked layers of all networks as one table each."""
    unpack(study)
    rows, curves, tracks = [], [], []
    for path in sorted(study.unpacked.glob("*.safetensors")):
        spec = read_spec(path)
        rows.append(
            {
                "network": path.stem,
                "activation": spec.activation,
                "training_seed": spec.training_seed,
                "lr": spec.recipe["lr"],
                "clean_accuracy": spec.clean_accuracy,
                "validation_accuracy": spec.validation_accuracy,
            }
        )
        curves.append(pd.read_parquet(path.with_suffix(".curve.parquet")).assign(network=path.stem))
        tracks.append(pd.read_parquet(path.with_suffix(".track.parquet")).assign(network=path.stem))
    write_csv(study.results / "networks.csv", pd.DataFrame(rows))
    write_parquet(
        study.results / "curves.parquet", pd.concat(curves)[["network", "step", "loss", "accuracy"]]
    )
    columns = ["network", "step", "layer", "normalized_rho", "normalized_rho_prime", "gradient_variance"]
    write_parquet(study.results / "tracks.parquet", pd.concat(tracks)[columns])


def in_processes(tasks: Sequence[Callable[[], Any]], processes: int) -> Iterable[Any]:
    """Yield what tasks return, in their order; several at once in fresh processes of one thread each."""
    if not tasks:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_one_thread) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)  # the order of sums, and so the last bits, depend on it


def train_all(
    study: Study, activation: str, *, seeds: Sequence[int], out: Path, **settings: Any
) -> dict[int, Spec]:
    """Train networks; return their specs by seed. One that diverges is left out."""
    jobs = plan_grid([activation], seeds, out, [settings.get("normalization", NATIVE)])
    left, paths = list(seeds), {job.seed: job.path for job in jobs}
    common = {"device": "cpu", "progress": False, "on_network": _say, "out": out, **settings}
    while left:
        try:
            robustbench_act.train(study.data, activation=activation, seeds=left, **common)
            break
        except DivergedError as error:
            lost = next(seed for seed in left if not paths[seed].exists())
            print(f"{activation}_{lost} is left out: {error}", flush=True)
            left.remove(lost)
    return {seed: read_spec(paths[seed]) for seed in left}


def _train_and_archive(study: Study, activation: str, *, lr: float) -> None:
    seeds = train_all(study, activation, seeds=study.seeds, out=study.networks, lr=lr, **study.train)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for seed in seeds:
            for member in sorted(study.networks.glob(f"{activation}_{seed}.*")):
                info = zipfile.ZipInfo(member.name, _EPOCH)
                archive.writestr(info, member.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    write_atomically(study.archive(activation), buffer.getvalue())


def _say(job: Job, spec: Spec | None) -> None:
    if spec is None or spec.validation_accuracy is None:
        return
    print(f"{job.path.stem}: {spec.validation_accuracy:.2%} on validation images", flush=True)
