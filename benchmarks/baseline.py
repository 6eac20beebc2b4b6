"""C's side of the comparison: baseline.c, compiled here and called through ctypes."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.onezone import LISTS
from freehint.config import InputError
from freehint.mm.memory import PAGEBLOCK_NR_PAGES

SOURCE = Path(__file__).with_name("baseline.c")
FLAGS = ("-O3", "-march=native")
HEADS = 512  # nodes behind the frames: as many as freehint's side has, and more
# What linking.keep_branches_apart() is to freehint.
BRANCHES_APART = ("-Wa,-mbranches-within-32B-boundaries",)


def find_gcc() -> str:
    """Path of gcc.

    Raises
    ------
    InputError
        There is none.
    """
    gcc = shutil.which("gcc")
    if gcc is None:
        raise InputError(f"the benchmark compiles {SOURCE.name} and needs gcc, which is not found")
    return gcc


def build_baseline(folder: Path, more_flags: tuple = ()) -> Path:
    """The yardstick, compiled into a folder; the library's path.

    Raises
    ------
    InputError
        There is no gcc, or it does not accept the source.
    """
    library = folder / "baseline.so"
    command = [find_gcc(), *FLAGS, *more_flags, "-shared", "-fPIC", "-o", library, SOURCE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"gcc cannot compile {SOURCE.name}: {done.stderr.strip()}")
    return library


def compile_baseline(more_flags: tuple = ()) -> ctypes.CDLL:
    """The yardstick, compiled into a folder that is removed again, and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        return load_baseline(build_baseline(Path(folder), more_flags))


def load_baseline(library: Path) -> ctypes.CDLL:
    """The yardstick, as it was built."""
    loaded = ctypes.CDLL(str(library))
    for prefix in ("page", "compact"):
        getattr(loaded, f"{prefix}_zone_bytes").restype = ctypes.c_size_t
        for verb in ("replay", "walk", "fill"):
            getattr(loaded, f"{prefix}_{verb}").restype = ctypes.c_int64
    loaded.compact_replay_ahead.restype = ctypes.c_int64
    return loaded


def aligned(nr_bytes: int) -> np.ndarray:
    """Zeroed bytes on a page boundary, from the same allocator as freehint's arrays."""
    raw = np.zeros(nr_bytes + 4096, np.uint8)
    raw[:] = 0  # now, not in the first slice that touches them
    begin = -raw.ctypes.data % 4096
    return raw[begin : begin + nr_bytes]


def argument(value):
    """An array by address, a number as int64."""
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_int64(value)


class Baseline:
    """The verbs of OneZone; ``prefix`` is "page" (64-byte pages) or "compact" (int32 links).

    ``ahead``: coming operations' nodes are asked for; compact only.
    """

    def __init__(self, library: ctypes.CDLL, prefix: str, pageblock: np.ndarray, ahead=False):
        self.library, self.prefix = library, prefix
        self.replay_verb = "replay_ahead" if ahead else "replay"
        self.pageblock = pageblock.astype(np.uint8)
        nr_pages = len(pageblock) * PAGEBLOCK_NR_PAGES
        if prefix == "page":
            self.arrays = [aligned(64 * nr_pages)]
        else:
            self.arrays = [aligned(8 * (nr_pages + HEADS)), aligned(2 * nr_pages)]
        self.at = np.full(1, -1, np.int64)
        self.zone = aligned(getattr(library, f"{prefix}_zone_bytes")())
        self._call("init", *self.arrays, nr_pages, self.pageblock)

    def _call(self, verb: str, *values):
        call = getattr(self.library, f"{self.prefix}_{verb}")
        return call(*map(argument, (self.zone, *values)))

    def free(self, order: int, nodes: np.ndarray) -> None:
        """Free blocks of one order, each to the tail of its pageblock's list."""
        self._call("free", order, nodes, len(nodes))

    def replay(self, operations: np.ndarray) -> int:
        """Carry operations out; how many allocations got another node than recorded."""
        return self._call(self.replay_verb, operations, len(operations))

    def set_list(self, order: int, kind: int, nodes: np.ndarray) -> None:
        """Make ``nodes`` the content of an empty list."""
        self._call("set_list", order, kind, nodes, len(nodes))

    def walk(self, order: int, kind: int, n: int) -> int:
        """Sum of the next ``n`` nodes of a list, round and round."""
        return self._call("walk", order, kind, self.at, n)

    def fill(self, order: int, kind: int, rows: np.ndarray) -> int:
        """Rows (node, order, blocks looked at) of one whole list; rows written."""
        return self._call("fill", order, kind, rows)

    def whole(self, order: int, kind: int, room: np.ndarray) -> np.ndarray:
        """Nodes of one whole list, written into ``room``, which is as long."""
        self._call("list", order, kind, room)
        return room

    def rooms(self) -> list[np.ndarray]:
        """The arrays of links and frames, as bytes; compact only."""
        return self.arrays

    def move(self, rooms: list[np.ndarray]) -> None:
        """Go on in arrays that hold this side's links and frames; compact only."""
        self.arrays = rooms
        self._call("move", *rooms)

    def lists(self) -> list[np.ndarray]:
        """Every free list, in order."""
        lists = [np.empty(n, np.int64) for n in self.counts()[0]]
        for (order, kind), nodes in zip(LISTS, lists):
            self._call("list", order, kind, nodes)
        return lists

    def counts(self) -> tuple[np.ndarray, int]:
        """(blocks on each list, free pages)."""
        nr_free, nr_free_pages = np.empty(len(LISTS), np.int64), np.empty(1, np.int64)
        self._call("counts", nr_free, nr_free_pages)
        return nr_free, int(nr_free_pages[0])
