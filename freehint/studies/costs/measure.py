"""Measurements of this machine, each a median over slices with its quartiles.

Times are the thread's own CPU time, so that others on the machine count little; where two threads
hand something over it is the clock.
"""

import ctypes
import mmap
import os
import threading
from time import perf_counter_ns, thread_time_ns
from typing import NamedTuple

import numpy as np

from freehint.studies.costs import kernels
from freehint.studies.costs.kernels import LINE, MAX_ORDER
from freehint.units import PAGE_SIZE

HUGE = 512 * PAGE_SIZE
PAGE_WORDS, HUGE_WORDS = PAGE_SIZE // 8, HUGE // 8
BATCH = 32  # pages that go to a pcp list and back
TURNS = 500  # hand-overs in a slice


class Measured(NamedTuple):
    """What was measured, in ns.

    value, p25, p75 : float   the median and the quartiles of ``n`` slices
    n : int
    bound : str               "", or "lower" or "upper": what it is of the cost in the model
    how : str                 one sentence
    """

    value: float
    p25: float
    p75: float
    n: int
    bound: str
    how: str


def of_slices(times, bound: str, how: str) -> Measured:
    """The median and quartiles of the times of slices."""
    p25, value, p75 = np.percentile(times, (25, 50, 75))
    return Measured(float(value), float(p25), float(p75), len(times), bound, how)


def timed(work, units: int, slices: int, before=None) -> np.ndarray:
    """CPU time of ``work()`` in ns per unit, one for each slice after one that warms up."""
    times = []
    for _ in range(slices + 1):
        if before:
            before()
        begin = thread_time_ns()
        work()
        times.append((thread_time_ns() - begin) / units)
    return np.array(times[1:])


def lists(nr_pages: int, slices: int) -> dict[str, Measured]:
    """Walking, moving, and taking and putting on a list of shuffled 64-byte page structures."""
    chance = np.random.default_rng(1)
    lines = np.zeros((nr_pages + 1) * LINE, np.int32)
    nodes = chance.permutation(nr_pages) * LINE
    head, n, at = nr_pages * LINE, nr_pages // 8, [0]
    kernels.chain(lines, head, nodes)

    def walk():
        at[0] = kernels.walk(lines, at[0], n)

    walks = timed(walk, n, slices)
    rotations = timed(lambda: kernels.rotate(lines, head, n), n, slices)
    kernels.chain(lines, head, nodes[:0])
    some = np.split(nodes[: nr_pages - nr_pages % 8], 8)
    turns = iter(range(slices + 1))
    pcp = timed(
        lambda: kernels.push_and_pop(lines, head, some[next(turns) % 8], BATCH),
        2 * len(some[0]),
        slices,
    )
    where = f"on a list of {nr_pages:,} shuffled 64-byte page structures"
    return {
        "walk_block_ns": of_slices(walks, "", f"one step {where}"),
        "rotate_ns": of_slices(
            np.maximum(rotations - np.median(walks), 0),
            "lower",
            f"moving the first block to the tail {where}, less the step of a walk, which hides"
            " what it waits for",
        ),
        "pcp_ns": of_slices(
            pcp,
            "lower",
            f"putting a page's structure on a list or taking it off, {BATCH} at a time;"
            " the kernel's checks around it are left out",
        ),
    }


def blocks(nr_pages: int, slices: int) -> dict[str, Measured]:
    """Freeing and allocating single pages in a buddy allocator whose memory is fragmented."""
    nr_pages -= nr_pages % (1 << MAX_ORDER)
    chance = np.random.default_rng(2)
    lines = np.zeros((nr_pages + MAX_ORDER + 1) * LINE, np.int32)
    kernels.boot(lines)
    held = np.zeros(nr_pages * 9 // 10, np.int64)
    kernels.take_pages(lines, held)
    order = chance.permutation(len(held))
    kernels.put_pages(lines, held[order[: len(held) // 2]])
    held = held[order[len(held) // 2 :]]
    n = len(held) // 4
    times = timed(
        lambda: kernels.put_and_take(lines, held, chance.integers(0, len(held), n)), 2 * n, slices
    )
    how = f"freeing or allocating one of {nr_pages:,} pages with 64-byte structures, with merges"
    return {"buddy_ns": of_slices(times, "lower", f"{how} and splits, without migratetypes")}


def memory(nr_bytes: int, slices: int) -> dict[str, Measured]:
    """Clearing pages of both sizes, in random order, and writing pages one after another."""
    words = np.ones(nr_bytes // 8, np.uint64)
    chance = np.random.default_rng(3)
    found = {}
    for name, each, size in (
        ("clear_page_ns", PAGE_WORDS, "4 KiB"),
        ("clear_huge_ns", HUGE_WORDS, "2 MiB"),
    ):
        pieces = chance.permutation(len(words) // each)
        times = timed(
            lambda pieces=pieces, each=each: kernels.clear(words, pieces, each), len(pieces), slices
        )
        found[name] = of_slices(times, "", f"clearing {size} of {nr_bytes >> 20} MiB at random")
    n, value = len(words), np.uint64(0x9E3779B97F4A7C15)
    times = timed(lambda: kernels.write(words, 0, n, value), n // PAGE_WORDS, slices)
    how = f"writing 4096 B, page after page of {nr_bytes >> 20} MiB"
    return found | {"write_ns": of_slices(times, "", how)}


def _fresh(nr_bytes: int, advice: int) -> tuple[mmap.mmap, np.ndarray]:
    """Private anonymous memory that begins at a multiple of 2 MiB."""
    area = mmap.mmap(-1, nr_bytes + HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(advice)
    memory = np.frombuffer(area, np.uint8)
    skip = -memory.ctypes.data % HUGE
    return area, memory[skip : skip + nr_bytes]


def _faults() -> int:
    """Minor faults of this thread so far, from /proc."""
    with open("/proc/thread-self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[7])


def faults(nr_bytes: int, slices: int) -> tuple[dict[str, Measured], dict[str, str]]:
    """First touches of memory that MADV_DONTNEED took away, of 4 KiB and of 2 MiB.

    Returns
    -------
    (dict, dict)
        What was measured; for what was not, why.
    """
    found, missing = {}, {}
    for name, step, size, advice in (
        ("fault_ns", PAGE_SIZE, "4 KiB", "MADV_NOHUGEPAGE"),
        ("huge_fault_ns", HUGE, "2 MiB", "MADV_HUGEPAGE"),
    ):
        if not hasattr(mmap, advice):
            missing[name] = f"this system has no {advice}"
            continue
        area, fresh = _fresh(nr_bytes, getattr(mmap, advice))
        times = timed(
            lambda fresh=fresh, step=step: kernels.touch(fresh, step),
            nr_bytes // step,
            slices,
            before=lambda area=area: area.madvise(mmap.MADV_DONTNEED),
        )
        area.madvise(mmap.MADV_DONTNEED)
        before = _faults()
        kernels.touch(fresh, PAGE_SIZE)
        each = nr_bytes / max(_faults() - before, 1)
        if not 0.5 < each / step < 2:
            missing[name] = f"a fault brought {each / 1024:,.0f} KiB and not {size}"
            continue
        how = f"first touch of {size} after MADV_DONTNEED, without the exit from a guest"
        found[name] = of_slices(times, "lower", how)
    return found, missing


def hand_overs(slices: int) -> tuple[dict[str, Measured], dict[str, str]]:
    """Handing a turn to a thread on another CPU that spins, and to one that sleeps on a futex."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    names = ("lock_ns", "wake_ns")
    if len(cpus) < 2:
        return {}, dict.fromkeys(names, "two threads need two CPUs")
    shared = np.zeros((4, 8), np.int64)  # a cache line each

    def spin(me, turns):
        kernels.take_turns(shared[0], shared[1], me, 1 - me, turns)

    sleep = ctypes.CDLL(None)
    for which in (0, 1):
        sleep.sem_init(ctypes.c_void_p(shared[2 + which].ctypes.data), 0, 1 - which)

    def wake(me, turns):
        mine, theirs = (shared[2 + which].ctypes.data for which in (me, 1 - me))
        kernels.wake_in_turn(mine, theirs, turns)

    how = (
        f"to a thread that spins on CPU {cpus[1]} or {cpus[0]}, with a cache line that it guards",
        f"to a thread that sleeps on a futex on CPU {cpus[1]} or {cpus[0]}",
    )
    return {
        name: of_slices(_turns(work, cpus, slices), bound, f"handing a turn over {said}")
        for name, work, bound, said in zip(names, (spin, wake), ("", "lower"), how, strict=True)
    }, {}


def _turns(work, cpus, slices: int) -> list[float]:
    """The time of one hand-over in each slice, while two threads hand over and back."""
    times = []

    def other():
        os.sched_setaffinity(threading.get_native_id(), {cpus[1]})
        work(1, (slices + 1) * TURNS)

    def one():
        os.sched_setaffinity(threading.get_native_id(), {cpus[0]})
        for _ in range(slices + 1):
            begin = perf_counter_ns()
            work(0, TURNS)
            times.append((perf_counter_ns() - begin) / (2 * TURNS))

    work(0, 0)  # compiled before a thread waits
    threads = [threading.Thread(target=each, daemon=True) for each in (other, one)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return times[1:]
