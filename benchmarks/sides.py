"""The sides of the comparison, with the same verbs: freehint's kernels and the C of baseline.c."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.stream import ORDER_TABLE, TYPE_TABLE
from freehint.config import InputError
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, free_one_page, rmqueue_smallest
from freehint.mm.list import list_next, set_list
from freehint.mm.memory import (
    BUDDY,
    MIGRATE_TYPES,
    NR_ORDERS,
    TYPE_SHIFT,
    Zones,
    free_list_head,
    list_nodes,
    new_memory,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import LINUX_6_1
from freehint.walk import HIGH_FIRST, NEVER_ROTATE, PER_LIST, RESTART, fill, new_walk_state

SOURCE = Path(__file__).parent / "baseline.c"
LISTS = [(order, kind) for order in range(NR_ORDERS) for kind in range(MIGRATE_TYPES)]
ORDER_BITS = 4  # live blocks are node << 4 | order


@kernel
def run_stream(memory, live, count, words, growth, order_table, type_table):
    """The operation stream on one zone; the loop of RUN_STREAM in baseline.c.

    ``count`` is [live blocks, failed allocations].
    """
    for word in words:
        nr_live = count[0]
        allocates = (word & 0xFF) < growth
        if (allocates and nr_live < live.shape[0]) or nr_live == 0:
            order = int(order_table[(word >> 8) & 4095])
            migratetype = int(type_table[(word >> 20) & 4095])
            node = rmqueue_smallest(memory, 0, order, migratetype)
            if node < 0:
                count[1] += 1
            else:
                live[nr_live] = (node << ORDER_BITS) | order
                count[0] = nr_live + 1
        else:
            victim = (((word >> 32) & 0xFFFFFF) * nr_live) >> 24
            block = int(live[victim])
            live[victim] = live[nr_live - 1]
            count[0] = nr_live - 1
            node = block >> ORDER_BITS
            migratetype = get_pageblock_migratetype(memory, node)
            free_one_page(memory, node, 0, block & 15, migratetype, FPI_NONE)


@kernel
def free_at_tail(memory, nodes, order):
    """Free blocks of one order, each to the tail of its pageblock's list."""
    for node in nodes:
        migratetype = get_pageblock_migratetype(memory, node)
        free_one_page(memory, node, 0, order, migratetype, FPI_TO_TAIL)


@kernel
def walk_list(memory, head, node, n):
    """Sum of the next ``n`` nodes of a list, round and round, and the last of them."""
    total = 0
    while n > 0:
        node = list_next(memory.links, node)
        if node != head:
            total += node
            n -= 1
    return total, node


class Freehint:
    """The library's kernels on a one-zone guest; every page is allocated at first."""

    def __init__(self, nr_pages: int, pageblock: np.ndarray, capacity: int):
        zones = Zones(*(np.zeros((1, *shape), np.int64) for shape in _zone_shapes()))
        zones.index[0] = 2
        zones.spanned[0] = zones.present[0] = zones.managed[0] = nr_pages
        self.memory = new_memory(zones, 1, LINUX_6_1)
        self.memory.pageblock[:] = pageblock
        self.live = np.zeros(capacity, np.int32)
        self.count = np.zeros(2, np.int64)
        self.at = -1

    def free(self, nodes: np.ndarray, order: int) -> None:
        """Free blocks of one order, in this order, to the tails."""
        free_at_tail(self.memory, nodes, order)

    def run(self, words: np.ndarray, growth: int) -> None:
        """One slice of the operation stream."""
        run_stream(self.memory, self.live, self.count, words, growth, ORDER_TABLE, TYPE_TABLE)

    def set_list(self, order: int, kind: int, nodes: np.ndarray) -> None:
        """Make ``nodes`` the content of an empty list."""
        memory = self.memory
        set_list(memory.links, free_list_head(memory, 0, order, kind), nodes)
        memory.frame[nodes] = BUDDY | order | (kind << TYPE_SHIFT)
        memory.nr_free[0, order, kind] = len(nodes)

    def walk(self, order: int, kind: int, n: int) -> int:
        """Sum of the next ``n`` nodes of a list, round and round."""
        head = free_list_head(self.memory, 0, order, kind)
        total, self.at = walk_list(self.memory, head, head if self.at < 0 else self.at, n)
        return total

    def fill(self, order: int, kind: int, rows: np.ndarray) -> int:
        """The walker's own stroke over all lists: rows (node, order, blocks looked at)."""
        state = new_walk_state(NEVER_ROTATE, RESTART, PER_LIST, HIGH_FIRST, order, 0)
        return fill(self.memory, state, 0, rows, len(rows) - 1)[0]

    def lists(self) -> list[np.ndarray]:
        """Every free list, in order."""
        memory = self.memory
        return [list_nodes(memory, free_list_head(memory, 0, *which)) for which in LISTS]

    def counts(self) -> tuple[np.ndarray, int]:
        """(blocks on each list, free pages)."""
        return self.memory.nr_free[0].ravel().copy(), int(self.memory.zones.nr_free_pages[0])

    def live_blocks(self) -> np.ndarray:
        """node << 4 | order of every allocated block."""
        return self.live[: self.count[0]]


def _zone_shapes():
    return [{"watermark": (3,), "lowmem_reserve": (5,)}.get(name, ()) for name in Zones._fields]


class _Stream(ctypes.Structure):
    _fields_ = (
        ("live", ctypes.c_void_p),
        ("nr_live", ctypes.c_int64),
        ("capacity", ctypes.c_int64),
        ("failed", ctypes.c_int64),
        ("order_table", ctypes.c_void_p),
        ("type_table", ctypes.c_void_p),
    )


def compile_baseline():
    """The C yardstick, compiled with ``gcc -O3 -march=native`` into a folder that is gone after.

    Raises
    ------
    InputError
        There is no gcc, or it does not accept the source.
    """
    gcc = shutil.which("gcc")
    if gcc is None:
        raise InputError("the benchmark compiles benchmarks/baseline.c and needs gcc, not found")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "baseline.so"
        command = [gcc, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, SOURCE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"gcc cannot compile {SOURCE.name}: {done.stderr.strip()}")
        loaded = ctypes.CDLL(str(library))
    for prefix in ("page", "compact"):
        getattr(loaded, f"{prefix}_zone_bytes").restype = ctypes.c_size_t
        getattr(loaded, f"{prefix}_walk").restype = ctypes.c_int64
        getattr(loaded, f"{prefix}_fill").restype = ctypes.c_int64
    return loaded


def aligned(nr_bytes: int) -> np.ndarray:
    """Zeroed bytes on a page boundary, from the same allocator as freehint's arrays."""
    raw = np.zeros(nr_bytes + 4096, np.uint8)
    begin = -raw.ctypes.data % 4096
    return raw[begin : begin + nr_bytes]


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """Address of an array's first byte."""
    return ctypes.c_void_p(array.ctypes.data)


class Baseline:
    """baseline.c: ``prefix`` "page" (64-byte pages) or "compact" (int32 links)."""

    def __init__(self, library, prefix: str, nr_pages: int, pageblock, capacity: int):
        self.library, self.prefix = library, prefix
        self.zone = aligned(self._call("zone_bytes"))
        self.pageblock = np.array(pageblock, np.uint8)
        self.live = np.zeros(capacity, np.int32)
        tables = ORDER_TABLE.ctypes.data, TYPE_TABLE.ctypes.data
        self.stream = _Stream(self.live.ctypes.data, 0, capacity, 0, *tables)
        self.at = ctypes.c_int64(-1)
        pages = ctypes.c_int64(nr_pages)
        if prefix == "page":
            self.arrays = [aligned(64 * nr_pages)]
            self._init(pointer(self.arrays[0]), pages, pointer(self.pageblock))
        else:
            self.arrays = [aligned(8 * (nr_pages + len(LISTS))), aligned(2 * nr_pages)]
            self._init(*map(pointer, self.arrays), pages, pointer(self.pageblock))

    def _call(self, verb: str, *arguments):
        return getattr(self.library, f"{self.prefix}_{verb}")(*arguments)

    def _init(self, *arguments) -> None:
        self._call("init", pointer(self.zone), *arguments)

    def free(self, nodes: np.ndarray, order: int) -> None:
        """Free blocks of one order, in this order, to the tails."""
        for node in nodes:
            kind = int(self.pageblock[node >> 9])
            self._call("free", pointer(self.zone), ctypes.c_int64(int(node)), order, kind, 1)

    def run(self, words: np.ndarray, growth: int) -> None:
        """One slice of the operation stream."""
        n, grow = ctypes.c_int64(len(words)), ctypes.c_int64(growth)
        stream = ctypes.byref(self.stream)
        self._call("run", pointer(self.zone), stream, pointer(words), n, grow)

    def set_list(self, order: int, kind: int, nodes: np.ndarray) -> None:
        """Make ``nodes`` the content of an empty list."""
        n = ctypes.c_int64(len(nodes))
        self._call("set_list", pointer(self.zone), order, kind, pointer(nodes), n)

    def walk(self, order: int, kind: int, n: int) -> int:
        """Sum of the next ``n`` nodes of a list, round and round."""
        zone, at = pointer(self.zone), ctypes.byref(self.at)
        return self._call("walk", zone, order, kind, at, ctypes.c_int64(n))

    def fill(self, order: int, kind: int, rows: np.ndarray) -> int:
        """Rows (node, order, blocks looked at) of one whole list."""
        return self._call("fill", pointer(self.zone), order, kind, pointer(rows))

    def lists(self) -> list[np.ndarray]:
        """Every free list, in order."""
        lists = [np.empty(n, np.int64) for n in self.counts()[0]]
        for (order, kind), nodes in zip(LISTS, lists):
            self._call("list", pointer(self.zone), order, kind, pointer(nodes))
        return lists

    def counts(self) -> tuple[np.ndarray, int]:
        """(blocks on each list, free pages)."""
        nr_free = np.empty(len(LISTS), np.int64)
        nr_free_pages = np.empty(1, np.int64)
        self._call("counts", pointer(self.zone), pointer(nr_free), pointer(nr_free_pages))
        return nr_free, int(nr_free_pages[0])

    def live_blocks(self) -> np.ndarray:
        """node << 4 | order of every allocated block."""
        return self.live[: self.stream.nr_live]


def same_state(sides) -> None:
    """Fail unless all sides have the same lists in order, the same counts and live blocks."""
    first, *others = sides.values()
    lists, counts, live = first.lists(), first.counts(), first.live_blocks()
    for name, other in zip(list(sides)[1:], others):
        for which, mine, theirs in zip(LISTS, lists, other.lists()):
            assert np.array_equal(mine, theirs), f"{name}: list {which} differs from freehint's"
        nr_free, nr_free_pages = other.counts()
        assert np.array_equal(counts[0], nr_free), f"{name}: nr_free differs from freehint's"
        assert counts[1] == nr_free_pages, f"{name}: nr_free_pages differs from freehint's"
        assert np.array_equal(live, other.live_blocks()), f"{name}: live blocks differ"
