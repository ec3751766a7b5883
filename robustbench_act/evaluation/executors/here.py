"""In this process: while a unit is computed, the pictures of the next one are decoded."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from robustbench_act.evaluation.work import Job, Progress, Result, Task
from robustbench_act.evaluation.worker import Worker


def run_here(
    job: Job, tasks: Iterator[Task], *, on_images: Progress = lambda count: None
) -> Iterator[Result]:
    """Yield the results in the order of the tasks; `on_images` is called network by network."""
    worker = Worker(job)
    try:
        for task in _one_ahead(tasks):
            yield worker.run(task, on_images)
    finally:
        worker.release()


def _one_ahead(tasks: Iterator[Task]) -> Iterator[Task]:
    """Yield the tasks with their pictures in memory; those of the next one are decoded in a thread.

    The thread does no more than that: were it to compute with PyTorch, OpenMP would keep a second team of
    threads, find more threads than cores, and have the first team sleep between operations (12 % slower).
    """
    with ThreadPoolExecutor(1) as thread:
        coming = None
        for task in tasks:
            following = task, thread.submit(task.read)
            if coming is not None:
                yield _ready(*coming)
            coming = following
        if coming is not None:
            yield _ready(*coming)


def _ready(task: Task, read: Future[None]) -> Task:
    read.result()
    return task
