"""The runs of a sweep on a Dask cluster that is already running.

The space of the sweep goes to the cluster once, as the result of a task, so that the cluster
computes it again when the worker that holds it dies.  If a worker dies, the cluster gives its
chunk to another worker.
"""

import pickle
from collections import deque
from concurrent.futures import CancelledError

from freehint.config import InputError, extra
from freehint.sweeps.design import Design
from freehint.sweeps.factors import Space
from freehint.sweeps.one_run import code_of_rows, run_chunk
from freehint.sweeps.pools import LostChunkError, check_importable, fed

CONNECT_S = 10
# A cluster may be without workers for this long, for instance while one is being restarted.
PATIENCE_S = 60
# If an error of the cluster itself (not of a run) ends a chunk, it is tried again this many times.
RETRIES = 3


def space_there(space: Space) -> Space:
    """A task whose result is the space."""
    return space


class _Asked:
    """Unpickles to the hash of the worker's freehint, if the worker can import the space."""

    def __init__(self, space: Space):
        self.space = space

    def __reduce__(self):
        return hash_there, (self.space,)


def hash_there(_space: Space) -> str:
    """The hash of this process's freehint."""
    return code_of_rows()


def run_chunk_there(space: Space, jobs: list, code: str):
    """Run a chunk on a worker, which must have the same freehint.

    Returns
    -------
    tuple
        As :func:`run_chunk` returns it.
    """
    if code_of_rows() != code:  # The worker joined after the sweep had begun.
        raise InputError("a worker has a different freehint than this process")
    return run_chunk(space, jobs)


class Cluster:
    """A connection to a cluster for the length of a sweep.

    Raises
    ------
    InputError
        ``distributed`` is not installed, no scheduler answers, there is no worker, or a worker
        has a different freehint or cannot import a policy.
    """

    def __init__(self, address: str, design: Design):
        self.distributed = extra("distributed", f"scheduler {address!r}")
        check_importable(design.space, address)
        self.space = design.space
        self.address = address
        self.code = code_of_rows()

    def __enter__(self):
        try:
            self.client = self.distributed.Client(
                self.address, timeout=CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError):
            raise InputError(
                f"scheduler {self.address!r}: no Dask scheduler answers there"
            ) from None
        try:
            self._check_workers()
        except InputError:
            self.client.close()
            raise
        self.there = self.client.submit(space_there, self.space, pure=False)
        return self

    def _check_workers(self) -> None:
        """Refuse workers that cannot run the sweep.

        The question goes out as plain bytes, because a worker that cannot unpickle a task would
        leave the cluster.
        """
        asked = pickle.dumps(_Asked(self.space))
        answers = self.client.run(pickle.loads, asked, on_error="return")
        if not answers:
            raise InputError(f"scheduler {self.address!r}: the cluster has no worker")
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                raise InputError(
                    f"scheduler {self.address!r}: worker {worker} cannot import what it needs:"
                    f" {answer}"
                )
            if answer != self.code:
                raise InputError(
                    f"scheduler {self.address!r}: worker {worker} has a different freehint"
                    " than this process"
                )

    def __exit__(self, *_):
        self.client.close()

    def chunks(self, left: deque):
        """Yield rows, {number: row}, as they arrive."""
        try:
            yield from fed(self, self.space, left)
        except ChildProcessError:
            raise
        except (CancelledError, OSError):
            raise self._gone("no longer answers") from None

    def _threads(self) -> int:
        return sum(self.client.nthreads().values())

    def _gone(self, what: str) -> ChildProcessError:
        return ChildProcessError(
            f"the cluster at {self.address} {what}; the same call continues the sweep"
        )

    def width(self) -> int:
        """The number of threads of all workers now; workers come and go."""
        return max(1, self._threads())

    def submit(self, jobs: list):
        """Send a chunk and return its future."""
        return self.client.submit(
            run_chunk_there, self.there, jobs, self.code, retries=RETRIES, pure=False
        )

    def finished(self, running) -> set:
        """Wait until at least one of the futures is finished, and return all that are."""
        while True:
            try:
                with self.client.as_current():
                    return self.distributed.wait(list(running), PATIENCE_S, "FIRST_COMPLETED").done
            except TimeoutError:
                if not self._threads():
                    raise self._gone(f"has had no worker for {PATIENCE_S} s") from None

    def result(self, future) -> tuple:
        """The rows of a finished chunk and the seconds that they took."""
        try:
            return future.result()
        except self.distributed.KilledWorker as error:
            raise LostChunkError(
                f"KilledWorker: every worker that ran it died, {error.allowed_failures + 1} in all"
            ) from None
        except InputError as error:
            raise InputError(f"scheduler {self.address!r}: {error}") from None
