"""The runs of a sweep in this process or in worker processes, and chunks for workers."""

import multiprocessing
import os
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module

from freehint.config import InputError
from freehint.files import end_with_parent
from freehint.policies import find_policies
from freehint.sweeps.factors import Space
from freehint.sweeps.one_run import one_run, run_chunk
from freehint.sweeps.status import FAILED

_space = None  # the space of this worker process


def _begin_worker(space: Space) -> None:
    global _space
    _space = space
    end_with_parent()


def _run_chunk_here(jobs: list) -> tuple:
    return run_chunk(_space, jobs)


class Processes:
    """One worker process per CPU, started when there is work."""

    def __init__(self, space: Space):
        self.space = space
        self.workers = len(os.sched_getaffinity(0))
        self.pool = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def chunks(self, left: deque):
        """Yield rows, {number: row}, in the order in which chunks come back."""
        if self.pool is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["freehint.sweeps.forked"])
            workers = min(self.workers, len(left))
            self.pool = ProcessPoolExecutor(workers, context, _begin_worker, (self.space,))
        try:
            yield from fed(self, self.space, left)
        except BrokenProcessPool:
            raise ChildProcessError(
                "a worker process of the sweep died: killed, out of memory, or started by a script"
                ' that calls sweep outside of if __name__ == "__main__":'
            ) from None

    def width(self) -> int:
        """The number of runs at once."""
        return self.workers

    def submit(self, jobs: list):
        """Send a chunk and return its future."""
        return self.pool.submit(_run_chunk_here, jobs)

    def finished(self, running) -> set:
        """Wait until at least one of the futures is finished, and return all that are."""
        return wait(running, return_when=FIRST_COMPLETED).done

    def result(self, future) -> tuple:
        """The rows of a finished chunk and the seconds that they took."""
        return future.result()


def check_processes(space: Space) -> None:
    """Refuse a sweep that worker processes cannot run."""
    if multiprocessing.parent_process() is not None:
        raise InputError(
            "scheduler 'processes' cannot be used in a worker process; a script that calls sweep"
            ' must do so under if __name__ == "__main__":'
        )
    check_importable(space, "processes")


def check_importable(space: Space, scheduler: str) -> None:
    """Refuse policies that workers cannot import.

    Workers find a policy's verbs by name, in the module that defines them.
    """
    for policy in (p for named in space.policies() for p in find_policies(named)):
        for value in (type(policy), *vars(policy).values()):
            if callable(value) and not _importable(value):
                raise InputError(
                    f"scheduler {scheduler!r} needs policies that a worker can import, and policy"
                    f" {policy.name!r} has {value.__qualname__} of {value.__module__}; put it at"
                    f" the top level of a module of its own, or leave scheduler=None"
                )


def _importable(value) -> bool:
    if value.__module__ == "__main__":
        return False
    found = import_module(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


CHUNK_S = 1.0
LAST_CHUNKS = 16  # the last chunks take 1 / LAST_CHUNKS of that, so that all workers end together


# Chunks.


class Tempo:
    """How long a run takes.  It decides the size of chunks, never the results."""

    def __init__(self):
        self.run_s = None

    @property
    def chunk_runs(self) -> int:
        """The number of runs that take about CHUNK_S; one as long as no run is done."""
        return max(1, round(CHUNK_S / self.run_s)) if self.run_s else 1

    def chunk_of(self, left: int, width: int) -> int:
        """The number of runs that the next worker of ``width`` gets of those that are left."""
        last = max(1, self.chunk_runs // LAST_CHUNKS)
        return min(left, self.chunk_runs, max(last, -(-left // (2 * width))))

    def note(self, runs: int, seconds: float) -> None:
        """Take the time of a chunk; later runs count more, because neighbours are alike."""
        now = max(seconds, 1e-4) / runs
        self.run_s = now if self.run_s is None else (self.run_s + now) / 2


class LostChunkError(Exception):
    """The worker that ran a chunk died, and so did all that tried it again."""


def fed(pool, space: Space, left: deque):
    """Yield the rows of all jobs that are left, {number: row}, as chunks come back.

    pool : Processes or Cluster
    """
    tempo, running = Tempo(), {}
    while left or running:
        width = pool.width()
        while left and len(running) < 2 * width:
            size = tempo.chunk_of(len(left), width)
            jobs = [left.popleft() for _ in range(size)]
            running[pool.submit(jobs)] = jobs
        for future in pool.finished(running):
            jobs = running.pop(future)
            try:
                rows, seconds = pool.result(future)
            except LostChunkError as error:
                if len(jobs) > 1:  # Send each alone, to see which one kills its worker.
                    running |= {pool.submit([job]): [job] for job in jobs}
                    continue
                yield {jobs[0][0]: _lost_row(space, jobs[0], error)}
                continue
            tempo.note(len(jobs), seconds)
            yield rows


def _lost_row(space: Space, job: tuple, error: Exception) -> dict:
    return {**space.row(*job), "status": FAILED, "error": str(error)}


class Here:
    """Does the runs one after another in this process."""

    def __init__(self, space: Space):
        self.space = space

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def chunks(self, left: deque):
        """Yield rows, {number: row}, as they are done."""
        while left:
            job = left.popleft()
            yield {job[0]: one_run(self.space, job)}
