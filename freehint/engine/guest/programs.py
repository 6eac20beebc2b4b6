"""Guests of one CPU that run one load of the recordings, through the real allocator.

The first part of a program runs before time begins (:func:`prepare`), the last part event by
event.  A process touches its pages in order.  The first touch of a 2 MiB piece maps a huge page if
these are on and one is free, else it maps page by page; each 2 MiB also takes a page table page.
Pages are zeroed and then written; a process that leaves gives them back in order of addresses.

Source: the load programs as data/README.md describes them.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from freehint.config import InputError, require
from freehint.data import DEFAULT_MEMORY
from freehint.engine.guest.build import MOST_PROCESSES, NUMBERS, begin_build, build_step, places_of
from freehint.engine.guest.churn import burst_page, churn_page
from freehint.engine.guest.content import boot_content, place_background, place_mem_map
from freehint.engine.guest.forks import MOST_ALIVE, fork_step, step_ns
from freehint.engine.guest.mapping import fill_region, forget_process, give_back_pieces, page_node
from freehint.engine.guest.page_cache import cache_page, fill_cache
from freehint.engine.world.clock import schedule
from freehint.engine.world.content import STRUCTURES_SHIFT, write_page
from freehint.engine.world.records import PROGRAM
from freehint.inputs.rules import Checked, Mebibytes, OneOf, Pages, Real, Switch, Whole
from freehint.jit import kernel
from freehint.mm.memory import Memory
from freehint.units import NS_PER_MS, NS_PER_S, PAGES_PER_MIB

IDLE, DIRTY, CHURN, BURST, FORK, CACHE, BUILD = range(7)  # the load while time passes
GOES_ON = {
    **{"dirty": DIRTY, "churn": CHURN, "burst": BURST},
    **{"fork": FORK, "cache": CACHE, "build": BUILD},
}
STATES = ("idle", "freed", "dirty", "churn", "frag", "burst", "fork", "cache", "build")
BACKGROUND_NS = 100 * NS_PER_MS
Rate = Annotated[float, Real(0, 1_000_000)]


@dataclass(frozen=True)
class Program(Checked):
    """A guest of one CPU that runs one of the recorded loads, in place of a Workload.

    Attributes
    ----------
    state : str
        The kind of load that the guest runs.  All but "idle" begin with a process that fills
        ``fill_MiB`` and leaves; "freed" does no more.  "dirty" then rewrites a word in each page of
        ``dirty_MiB`` at ``rate_MiBps``; "churn" maps, fills and unmaps pieces of 256 KiB to 16 MiB
        at that rate, with ``dirty_MiB`` alive; "frag" fills ``frag_MiB`` page by page and gives
        back ``frag_percent`` % of its pieces of ``frag_chunk`` pages in random order; "burst" maps
        and writes ``dirty_MiB`` at that rate, leaves, rests for ``rest_ms``, and begins again;
        "fork" forks processes, see
        :mod:`freehint.engine.guest.forks`; "cache" caches ``cache_MiB`` of files, then goes on at
        ``rate_MiBps``, see :mod:`freehint.engine.guest.page_cache`; "build" caches ``cache_MiB`` of
        sources, then ``processes`` compilers of ``dirty_MiB`` in the mean touch pages at
        ``rate_MiBps``, see :mod:`freehint.engine.guest.build`.  "burst" and "build" were not
        recorded.
    fill_MiB, dirty_MiB, frag_MiB, frag_percent, cache_MiB, rest_ms : int
        See above.
    rate_MiBps : float
        How fast the load writes.
    frag_chunk : int
        Size of the pieces in which "frag" gives back memory: a number of pages.
    forks_per_s : float
        Processes per second.  61 were recorded (688 in 11.25 s, under emulation).
    life_ms : int
        Time from a process's last allocation to its exit: 51 ms is the median life of an anonymous
        page in that recording.
    processes : int
        Compilers of "build" that are alive at a time.
    units : int
        Compilers of "build" in all; 0 is no end.
    output_KiB : int
        What each of them writes to the page cache.
    huge_pages : bool
        Whether transparent_hugepage=always, Debian's default.
    init_on_free : bool
        Whether freed pages are cleared, so that free memory holds zeros.  Off in Debian's kernel.
    footprint_pages : int
        Pages with content at boot; 0 stands for those in use and those on pcp lists.
    background_pages : int
        Pages that the idle kernel writes again every 100 ms.  Calibrated on the rows state=idle,
        hint=off of linux-6.1/migration, where each sync found about 100 pages newly dirty.
    """

    state: Annotated[str, OneOf(STATES)] = "idle"
    fill_MiB: Mebibytes = 0
    dirty_MiB: Mebibytes = 0
    rate_MiBps: Rate = 0.0
    frag_MiB: Mebibytes = 620
    frag_percent: Annotated[int, Whole(0, 100)] = 70
    frag_chunk: Annotated[int, Whole(1, 1 << 20)] = 64
    cache_MiB: Mebibytes = 0
    forks_per_s: Rate = 61.0
    life_ms: Annotated[int, Whole(0, 1 << 30)] = 51
    rest_ms: Annotated[int, Whole(1, 1 << 30)] = 1_000
    processes: Annotated[int, Whole(1, MOST_PROCESSES)] = 4
    units: Annotated[int, Whole(0, 1 << 30)] = 0
    output_KiB: Annotated[int, Whole(0, 1 << 30)] = 256
    huge_pages: Switch = True
    init_on_free: Switch = False
    footprint_pages: Pages = 0
    background_pages: Pages = 100

    nr_cpus = 1
    keeps_content = True
    where = "workload."
    inputs = ()
    default_memory = DEFAULT_MEMORY

    def __post_init__(self):
        super().__post_init__()
        if self.state in ("dirty", "churn", "burst", "cache", "build"):
            above = f"be above 0 for {self.state!r}"
            require(self.rate_MiBps > 0, "workload.rate_MiBps", above, self.rate_MiBps)
        if self.state in ("dirty", "churn", "burst", "build"):
            above = f"be above 0 for {self.state!r}"
            require(self.dirty_MiB > 0, "workload.dirty_MiB", above, self.dirty_MiB)
        if self.state == "fork":
            rate = self.forks_per_s
            require(rate > 0, "workload.forks_per_s", "be above 0 for 'fork'", rate)
            alive = round(rate * self.life_ms / 1000)
            must = f"make at most {MOST_ALIVE} processes alive"
            require(alive <= MOST_ALIVE, "workload.forks_per_s x life_ms", must, alive)

    @property
    def goes_on(self) -> int:
        """The load while time passes: IDLE, DIRTY, CHURN, BURST, FORK, CACHE or BUILD."""
        return GOES_ON.get(self.state, IDLE)

    @property
    def page_ns(self) -> int:
        """Time in ns from one touched page, or one allocation of a process, to the next."""
        if self.state == "fork":
            return step_ns(self.forks_per_s)
        return round(NS_PER_S / (self.rate_MiBps * PAGES_PER_MIB)) if self.rate_MiBps else 0

    @property
    def dirty_pages(self) -> int:
        """Pages of ``dirty_MiB``."""
        return self.dirty_MiB * PAGES_PER_MIB

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """The fields of the World that belong to this guest."""
        mib = self.fill_MiB + self.dirty_MiB + self.frag_MiB + self.cache_MiB
        allocates = self.goes_on in (CHURN, FORK, CACHE)
        steps = duration_ns // self.page_ns if allocates else 0
        room = places = 2 * mib * PAGES_PER_MIB + 2 * steps + 4096
        if self.goes_on == BUILD:
            places = NUMBERS + self.fill_MiB * PAGES_PER_MIB
            room = self.processes * places_of(self.dirty_pages) + memory.nr_pages
        return {
            "held": np.zeros((1, room), np.int64),
            "pages": np.zeros(places, np.int64),
            "pieces": np.zeros((4096, 3), np.int64),
            "background": np.zeros(self.background_pages, np.int64),
            "mem_map": np.zeros(memory.nr_pages >> STRUCTURES_SHIFT, np.int64),
        }

    def begin(self, world, stream) -> None:
        """Run the part before time 0, and schedule the rest.

        Raises
        ------
        InputError
            The guest's memory is too small for the program.
        """
        prepare(world, self, stream)
        schedule(world, 0, 0)


def prepare(world, program: Program, stream) -> None:
    """Run the part of a program that lies before time 0."""
    world.state[0].init_on_free = program.init_on_free
    boot_content(world, program.footprint_pages)
    place_mem_map(world)
    world.state[0].cpu_kernel = 1 + PROGRAM
    world.state[0].program = 1 + program.goes_on
    world.state[0].page_ns = program.page_ns
    world.state[0].huge_pages = program.huge_pages
    if program.state != "idle":
        _fill(world, program.fill_MiB, program.huge_pages)
        forget_process(world)
    if program.state == "frag":
        _fill(world, program.frag_MiB, False)
        pieces = program.frag_MiB * PAGES_PER_MIB // program.frag_chunk
        back = stream.permutation(pieces)[: pieces * program.frag_percent // 100]
        give_back_pieces(world, back, program.frag_chunk)
    elif program.state == "dirty":
        _fill(world, program.dirty_MiB, program.huge_pages)
    elif program.state in ("churn", "burst"):
        world.state[0].rest_ns = program.rest_ms * NS_PER_MS
        world.state[0].live_pages = program.dirty_MiB * PAGES_PER_MIB
    elif program.state == "fork":
        world.state[0].life_ns = program.life_ms * NS_PER_MS
    elif program.state == "build":
        world.state[0].rest_ns = program.rest_ms * NS_PER_MS
        wanted = program.cache_MiB * PAGES_PER_MIB
        words = stream.integers(0, 1 << 63, program.processes, np.int64)
        if begin_build(world, program, wanted, words) < wanted:
            raise InputError(f"workload: the guest has no {program.cache_MiB} MiB for its cache")
    elif program.state == "cache":
        fill_cache(world, program.cache_MiB * PAGES_PER_MIB)
    for name in ("allocations", "failed_allocations", "frees"):
        world.tally[0][name] = 0  # the counts so far are from before time 0
    place_background(world)


def _fill(world, mib: int, huge: bool) -> None:
    got = fill_region(world, mib * PAGES_PER_MIB, huge)
    if got < mib * PAGES_PER_MIB:
        raise InputError(f"workload: the guest has no {mib} MiB to fill, only {got} pages")


@kernel
def program_event(world, word, now_ns):
    """Touch the process's next page, or write the pages of the idle kernel.

    Returns
    -------
    int
        When the next event is due, in ns; -1 if the process sleeps until memory is given back.
    """
    state = world.state[0]
    kind = state.program - 1
    if now_ns >= state.background_at:
        for i in range(state.nr_background):
            write_page(world, world.background[i])
        state.background_at = now_ns + BACKGROUND_NS
    elif kind == DIRTY:
        world.tally[0].writes += 1
        write_page(world, page_node(world, state.next_page))
        state.next_page = (state.next_page + 1) % max(state.nr_pages, 1)
        state.page_at = now_ns + state.page_ns
    elif kind == CHURN:
        if not churn_page(world, word):
            return -1
        state.page_at = now_ns + state.page_ns
    elif kind == FORK:
        if not fork_step(world, now_ns):
            return -1
        state.page_at = now_ns + state.page_ns
    elif kind == CACHE:
        if not cache_page(world):
            return -1
        state.page_at = now_ns + state.page_ns
    elif kind == BUILD:
        due_ns = build_step(world, word, now_ns)
        if due_ns < 0:
            return -1
        state.page_at = due_ns
    elif kind == BURST:
        due_ns = burst_page(world, now_ns)
        if due_ns < 0:
            return -1
        state.page_at = due_ns
    if kind == IDLE:
        return state.background_at
    return min(state.background_at, max(state.page_at, now_ns))
