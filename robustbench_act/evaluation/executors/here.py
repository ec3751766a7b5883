"""In this process: while a unit is computed, the pictures of the next one are decoded."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from robustbench_act.evaluation.worker import Job, Progress, Result, Task, Worker


def run_here(
    job: Job, tasks: Iterator[Task], *, on_images: Progress = lambda count: None
) -> Iterator[Result]:
    """Yield the results in the order of the tasks; `on_images` is told of images network by network."""
    worker = Worker(job)
    for task in _one_ahead(tasks):
        yield worker.run(task, on_images)


def _one_ahead(tasks: Iterator[Task]) -> Iterator[Task]:
    """Yield the tasks with what they need in memory; the next one is made meanwhile, in a thread."""

    def take() -> Task | None:
        task = next(tasks, None)
        return None if task is None else task.decoded()

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(take)
        while (task := coming.result()) is not None:
            coming = thread.submit(take)
            yield task
