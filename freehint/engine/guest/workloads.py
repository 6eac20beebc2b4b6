"""The load of a synthetic guest: how often its CPUs allocate, which blocks, and for how long.

Every guest's load has ``nr_cpus``, ``keeps_content`` (whether every write of a page is known),
``default_memory``, ``inputs`` (the files that it was made of), ``arrays`` (its fields of the World)
and ``begin`` (which schedules its CPUs).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np

from freehint.data import DEFAULT_MEMORY
from freehint.engine.guest.vcpu import QUANTILES
from freehint.engine.world.clock import MAX_CPUS, schedule
from freehint.inputs.rules import Checked, Duration, Share, Weights, Whole
from freehint.mm.memory import MAX_ORDER, MIGRATE_PCPTYPES, Memory

WORDS = 1 << 14  # events of a CPU between two refills of its random words


@dataclass(frozen=True)
class Workload(Checked):
    """A guest of several CPUs that allocates mixed orders and types, writes and frees.

    Attributes
    ----------
    nr_cpus : int
        CPUs that allocate and free, 1 to 24.  Those that the recorded guest did not have begin with
        empty pcp lists.
    interval_ns : int
        Mean time between two operations of a CPU, drawn evenly from half to one and a half of it.
        5 us on each of 4 CPUs make 800,000 operations/s, 35 times the rate of the busiest
        recording (frag), which ran under emulation.
    live_share : float
        Share of the memory free at the start that the guest comes to hold.
    growth : float
        Chance that an operation allocates while the guest holds less than that share; above it,
        the chance that an operation frees.
    write_share : float
        Share of operations that write a page instead.
    order_weights : tuple of float
        Weights of orders 0, 1, ..  The default is that of recording ``fork`` (0: 0.9665, 1:
        0.0335, 3: below 0.0001), with 1 in 500 an order-9 huge page (assumed; none was recorded).
    type_weights : tuple of float
        Weights of UNMOVABLE, MOVABLE, RECLAIMABLE.  The default mixes the recordings ``fork`` and
        ``cache`` evenly.
    """

    nr_cpus: Annotated[int, Whole(1, MAX_CPUS)] = 4
    interval_ns: Duration = 5_000
    live_share: Share = 0.5
    growth: Share = 0.75
    write_share: Share = 0.25
    order_weights: Annotated[tuple, Weights(MAX_ORDER)] = (
        *(0.9665, 0.0335, 0, 0.0001, 0, 0, 0, 0, 0, 0.002),
    )
    type_weights: Annotated[tuple, Weights(MIGRATE_PCPTYPES)] = (0.191, 0.798, 0.011)

    keeps_content = False
    where = "workload."
    inputs = ()
    default_memory = DEFAULT_MEMORY

    def __post_init__(self):
        super().__post_init__()
        for name in ("order_weights", "type_weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """The fields of the World that belong to this guest."""
        target = target_pages(self, memory)
        return {
            "held": np.zeros((self.nr_cpus, target + target // 4 + 1024), np.int64),
            "wish": np.stack([quantile_table(w) for w in (self.order_weights, self.type_weights)]),
        }

    def begin(self, world, stream) -> None:
        """Schedule the CPUs, evenly spread over one interval."""
        state = world.state[0]
        state.target_pages = target_pages(self, world.memory)
        state.interval_ns = self.interval_ns
        state.write_threshold = round(self.write_share * 256)
        state.growth_threshold = round(self.growth * 256)
        for cpu in range(self.nr_cpus):
            schedule(world, cpu, self.interval_ns * cpu // self.nr_cpus)


@lru_cache(maxsize=64)
def quantile_table(weights: tuple) -> np.ndarray:
    """uint8[4096] in which each index of ``weights`` occurs by its weight, but at least once."""
    weights = np.asarray(weights, float)
    edges = np.round(np.cumsum(weights) / weights.sum() * QUANTILES).astype(np.int64)
    counts = np.diff(edges, prepend=0)
    # A rare index must not vanish by rounding; it takes its place from the most frequent one.
    missing = (weights > 0) & (counts == 0)
    counts[missing] = 1
    counts[np.argmax(counts)] -= counts.sum() - QUANTILES
    return np.repeat(np.arange(len(weights), dtype=np.uint8), counts)


def target_pages(workload: Workload, memory: Memory) -> int:
    """Number of pages that each CPU comes to hold."""
    free = int(memory.zones.nr_free_pages.sum())
    return int(free * workload.live_share) // workload.nr_cpus


def draw_words(world, streams, words: int) -> None:
    """Draw the next ``words`` words of its sequence for every CPU that has used all of its own.

    A word is what ``stream.integers(0, 1 << 63)`` draws, the upper 63 bits of the generator's
    next number, in a fifth of the time.
    """
    word_at, table = world.cpu.view(np.ndarray)["word_at"], world.words.view(np.uint64)
    for cpu in np.flatnonzero(word_at == WORDS).tolist():
        drawn = streams[cpu].bit_generator.random_raw(words)
        np.right_shift(drawn, np.uint64(1), out=table[cpu, WORDS - words :])
        word_at[cpu] = WORDS - words
