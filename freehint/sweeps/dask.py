"""The runs of a sweep on a Dask cluster that is there already.

What a worker needs goes to the cluster once, as the result of a task, so that the cluster makes
it anew when the worker that holds it dies.  A chunk whose worker died goes to another.
"""

import pickle
from collections import deque
from concurrent.futures import CancelledError

from freehint.config import InputError, extra
from freehint.jit.cache import source_hash
from freehint.sweeps.design import Design
from freehint.sweeps.factors import Space
from freehint.sweeps.one_run import run_chunk
from freehint.sweeps.pools import LostChunkError, check_importable, fed

CONNECT_S = 10
# How long a cluster may be without any worker, one that is started anew included.
PATIENCE_S = 60
# A chunk that an error of the cluster itself ended, not of a run, is tried so often again.
RETRIES = 3


def space_there(space: Space) -> Space:
    """A task whose result is the space."""
    return space


class _Asked:
    """Unpickled by a worker that has what the space needs, it is the hash of its freehint."""

    def __init__(self, space: Space):
        self.space = space

    def __reduce__(self):
        return hash_there, (self.space,)


def hash_there(_space: Space) -> str:
    """Hash of this process's freehint."""
    return source_hash()


def run_chunk_there(space: Space, jobs: list, code: str):
    """Run a chunk on a worker that has the same freehint."""
    if source_hash() != code:  # It came when the sweep was on.
        raise InputError("a worker has another freehint than this process")
    return run_chunk(space, jobs)


class Cluster:
    """A connection to a cluster for the length of a sweep.

    Raises
    ------
    InputError
        ``distributed`` is not installed, nobody answers, there is no worker, or one that has not
        got the same freehint, or cannot import a policy.
    """

    def __init__(self, address: str, design: Design):
        self.distributed = extra("distributed", f"scheduler {address!r}")
        check_importable(design.space, address)
        self.space = design.space
        self.address = address
        self.code = source_hash()

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
        """A worker that cannot unpickle a task would leave the cluster, so ask in plain bytes."""
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
                    f"scheduler {self.address!r}: worker {worker} has another freehint than this"
                    f" process"
                )

    def __exit__(self, *_):
        self.client.close()

    def chunks(self, left: deque):
        """Rows as they come, {number: row}."""
        try:
            yield from fed(self, self.space, left)
        except ChildProcessError:
            raise
        except (CancelledError, OSError):
            raise self._gone("answers no more") from None

    def _threads(self) -> int:
        return sum(self.client.nthreads().values())

    def _gone(self, what: str) -> ChildProcessError:
        return ChildProcessError(f"the cluster at {self.address} {what}; the same call goes on")

    def width(self) -> int:
        """Threads of its workers now; workers come and go."""
        return max(1, self._threads())

    def submit(self, jobs: list):
        """Send a chunk."""
        return self.client.submit(
            run_chunk_there, self.there, jobs, self.code, retries=RETRIES, pure=False
        )

    def finished(self, running) -> set:
        """Those that are, at least one."""
        while True:
            try:
                with self.client.as_current():
                    return self.distributed.wait(list(running), PATIENCE_S, "FIRST_COMPLETED").done
            except TimeoutError:
                if not self._threads():
                    raise self._gone(f"has had no worker for {PATIENCE_S} s") from None

    def result(self, future) -> tuple:
        """Of a chunk."""
        try:
            return future.result()
        except self.distributed.KilledWorker as error:
            raise LostChunkError(
                f"KilledWorker: every worker that ran it died, {error.allowed_failures + 1} in all"
            ) from None
        except InputError as error:
            raise InputError(f"scheduler {self.address!r}: {error}") from None
