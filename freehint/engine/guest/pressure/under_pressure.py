"""A guest of one CPU that runs jobs until its memory is short, and longer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from freehint.config import one_of, require
from freehint.engine.guest.content import boot_content, place_mem_map
from freehint.engine.guest.forks import NR_BLOCKS
from freehint.engine.guest.pressure.steps import (
    BALLOON,
    FRAG,
    RELEASE,
    S_KIND,
    S_LAST,
    S_MORE,
    S_PAGES,
    S_SOURCE,
    parse_files,
    parse_jobs,
    plan_jobs,
)
from freehint.engine.guest.pressure.stolen import parse_turns
from freehint.engine.guest.pressure.t0 import held_places, read_lists
from freehint.engine.guest.recorded_guest import recording_stem
from freehint.engine.world.content import STRUCTURES_SHIFT
from freehint.engine.world.jobs import THP_DEFRAG, new_jobs
from freehint.inputs.rules import (
    Checked,
    Duration,
    Kind,
    Maybe,
    Mebibytes,
    OneOf,
    Real,
    Stem,
    Switch,
    Text,
    Whole,
)
from freehint.mm.memory import Memory
from freehint.mm.reclaim.state import WRONG_RULES, new_reclaim
from freehint.mm.reclaim.sysctl import RANGES, Sysctl
from freehint.units import NS_PER_MS, NS_PER_S, PAGES_PER_MIB

MOST_RATE_NS = 10 * NS_PER_MS
PageTime = Annotated[int, Whole(0, MOST_RATE_NS)]
MOST_COURSE_ROWS = 1_000_000
SYSCTLS = tuple(RANGES)


def _sysctl(name):
    return Whole(*RANGES[name])


@dataclass(frozen=True)
class UnderPressure(Checked):
    """A guest of one CPU under pressure: page cache, anonymous memory, swap, kswapd, OOM.

    Its jobs run one after the other, each through the whole slow path of the allocator; kswapd and
    kcompactd share the CPU with them.

    Attributes
    ----------
    jobs : str
        The steps, with sizes in MiB and times in seconds: "read FILE ..", "copy FILE NEW",
        "write NEW MiB", "sync", "rm FILE", "fork S", "fill MiB" (map, write, exit),
        "dirty MiB RATE S" (rewrite at RATE MiB/s, exit), "frag MiB PERCENT CHUNK" (give back that
        share in pieces of CHUNK pages, keep the rest), "drop_caches", "compact_memory",
        "reclaim MiB" (memory.reclaim), "sleep S", "swapon", "hold MiB" (map, write, keep),
        "release" (end what "frag" and "hold" keep), "balloon MiB S" (wait at most S until the
        balloon, whose target ``Control.at`` sets, leaves the guest so much of its memory).
    files : str
        The files that exist at T0 and their sizes in MiB: ``"a=210,b=210"``.
    recording : str or Path, optional
        Stem of a recording at whose T0 the guest begins: its memory, and the page cache and
        anonymous memory that NAME.info.json.gz counts.  They are placed on the used frames of
        MOVABLE pageblocks with the highest pfns, the oldest lowest.  Assumed.
    cached : str, optional
        The file whose first pages are the page cache of T0; without it that cache is of no file
        that the jobs name.
    cache_MiB, anon_MiB : int
        Page cache, and anonymous memory of a process that sleeps, filled before time 0.
    held_MiB : int
        Anonymous memory of T0 that the step "release" gives back, too.
    swap_MiB : int
        Swap space, in use from T0 on, or from the step "swapon" if there is one.
    swappiness, min_free_kbytes, watermark_scale_factor, watermark_boost_factor : int
        Of ``vm.``; min_free_kbytes None keeps the guest's watermarks.
    compaction_proactiveness, dirty_ratio, dirty_background_ratio : int
        Of ``vm.`` too.
    lru_gen : int or None
        1: the multi-generation LRU is on, as /sys/kernel/mm/lru_gen/enabled sets it; None is the
        kernel's default.
    huge_pages : bool
        Whether "fill" and "dirty" get huge pages (transparent_hugepage/enabled "always"); reclaim
        splits them.
    thp_defrag : str
        What a fault does if no huge page is free (transparent_hugepage/defrag): "always" reclaims
        and compacts, "defer" wakes kswapd and kcompactd, the others take single pages at once.
    forks_per_s : float
        Of "fork"; see :class:`freehint.Program`.
    life_ms : int
        Likewise.
    read_ns, reread_ns, write_ns, fill_ns, rewrite_ns, exit_ns, rm_ns : int
        What the job itself needs for a page: read from the disk, read from the cache, written to
        the cache, faulted in and filled, written again, given back on exit, removed with its file.
        Calibrated on linux-6.1/rc_cache and rc_oom, which ran under emulation and were traced:
        the time of each process by its number of pages, less that of kswapd.  All are those of
        rc_cache's machine: what rc_oom tells (fill_ns, exit_ns, oom_ns) is halved, because the
        machine was twice as slow while it was made (0.54 s for a fork load that took 0.27 s).
    exec_ns, oom_ns : int
        What a process needs to begin, and the report of the OOM killer; likewise.
    huge_ns : int
        Time for each 4 KiB of a huge page: cleared, mapped and filled.  Calibrated on the last fill
        of rc_thp, which reclaims nothing: 100 MiB in 0.195 s.
    disk_page_ns : int
        Time in which the disk writes a page.  Assumed.
    swap_in_ns : int
        Time until a page from swap is there, or pages that are neighbours there.  Assumed.
    host_turns : str, optional
        How the host shares out the CPU: milliseconds that the guest runs, and that others then run,
        ``"3.5+4.5, 3.4+8.6"``, over and over from a turn that the seed draws.  The guest does not
        know of it, so its scheduler charges the task that ran.  None: the CPU is the guest's alone.
    fill_slowness, swap_slowness : float
        How much longer all takes during "dirty": before kswapd runs in it, and from then on.
    course_ns : int
        Time between two rows of ``Run.reclaim``.
    without : str, optional
        A rule of the kernel that is left out, to see whether it matters: "no_boost",
        "no_kswapd_flag", "cache_never_reclaimed", "swap_ignored".

    Raises
    ------
    InputError
        A step cannot be read, or a value is refused.

    Examples
    --------
    >>> import freehint as fh
    >>> guest = fh.UnderPressure(jobs="read a; fill 40", files="a=60")
    >>> run = fh.simulate(fh.Scenario(memory="64MiB", policy="none", workload=guest,
    ...                               duration_ns=3_000_000_000))
    >>> bool(run.summary["pgsteal_kswapd"] > 0)
    True
    """

    jobs: Annotated[str, Text(100_000)] = "read a b; copy a c; fill 100; sync; rm c"
    files: Annotated[str, Kind(str, "be a text such as 'a=210,b=210'")] = "a=100,b=100"
    recording: Annotated[str | Path | None, Maybe(Stem("the stem of a recording"))] = None
    cached: Annotated[str | None, Maybe(Text())] = None
    cache_MiB: Mebibytes = 0
    anon_MiB: Mebibytes = 0
    held_MiB: Mebibytes = 0
    swap_MiB: Mebibytes = 0
    swappiness: Annotated[int, _sysctl("swappiness")] = 60
    min_free_kbytes: Annotated[int | None, Maybe(_sysctl("min_free_kbytes"))] = None
    watermark_scale_factor: Annotated[int, _sysctl("watermark_scale_factor")] = 10
    watermark_boost_factor: Annotated[int, _sysctl("watermark_boost_factor")] = 15_000
    compaction_proactiveness: Annotated[int, _sysctl("compaction_proactiveness")] = 20
    dirty_ratio: Annotated[int, _sysctl("dirty_ratio")] = 20
    dirty_background_ratio: Annotated[int, _sysctl("dirty_background_ratio")] = 10
    lru_gen: Annotated[int | None, Maybe(_sysctl("lru_gen"))] = None
    huge_pages: Switch = False
    thp_defrag: Annotated[str, OneOf(THP_DEFRAG)] = "madvise"
    forks_per_s: Annotated[float, Real(0, 1_000_000, above=True)] = 61.0
    life_ms: Annotated[int, Whole(0, 1 << 30)] = 51
    read_ns: PageTime = 17_000
    reread_ns: PageTime = 5_000
    write_ns: PageTime = 42_000
    fill_ns: PageTime = 15_000
    rewrite_ns: PageTime = 2_000
    exit_ns: PageTime = 4_500
    rm_ns: PageTime = 5_500
    exec_ns: Annotated[int, Whole(0, NS_PER_S)] = 5_000_000
    oom_ns: Annotated[int, Whole(0, NS_PER_S)] = 15_000_000
    huge_ns: PageTime = 7_000
    disk_page_ns: PageTime = 4_000
    swap_in_ns: PageTime = 100_000
    host_turns: Annotated[str | None, Maybe(Text(100_000))] = None
    fill_slowness: Annotated[float, Real(0.001, 1000)] = 1.0
    swap_slowness: Annotated[float, Real(0.001, 1000)] = 1.0
    course_ns: Duration = 10 * NS_PER_MS
    without: Annotated[str | None, Maybe(OneOf(tuple(WRONG_RULES)))] = None

    nr_cpus = 1
    keeps_content = True
    where = "workload."

    def __post_init__(self):
        super().__post_init__()
        files = parse_files(self.files, "workload.files")
        if self.cached:
            one_of("workload.cached", self.cached, files)
        steps = parse_jobs(self.jobs, files, "workload.jobs")
        object.__setattr__(self, "_plan", plan_jobs(steps, files, "workload.jobs"))
        lists = read_lists(recording_stem(self.recording)) if self.recording else None
        object.__setattr__(self, "_lists", lists)
        object.__setattr__(self, "_turns", parse_turns(self.host_turns, "workload.host_turns"))

    def __reduce__(self):
        return _made_again, ({one: getattr(self, one) for one in self.__dataclass_fields__},)

    @property
    def plan(self):
        """The steps as rows, and the places of all files and mappings."""
        return self._plan

    @property
    def lists(self):
        """What is known of the LRU lists at T0, or None."""
        return self._lists

    @property
    def step_texts(self) -> list:
        """What the rows of ``Run.jobs`` are called."""
        return self.plan.texts

    @property
    def default_memory(self) -> str:
        """The snapshot at T0, or a freshly booted guest of 256 MiB."""
        return f"{self.recording}.T0" if self.recording else "256MiB"

    @property
    def inputs(self) -> tuple:
        """The files that tell of T0's lists, with their sha256."""
        return self.lists.inputs if self.lists else ()

    @property
    def t0_pages(self) -> tuple:
        """Pages of the cache and of anonymous memory at T0."""
        cache, anon = self.cache_MiB * PAGES_PER_MIB, self.anon_MiB * PAGES_PER_MIB
        if self.lists:
            cache, anon = cache + self.lists.file_pages, anon + self.lists.anon_pages
        return cache, anon

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """The fields of the World that belong to this guest.

        Raises
        ------
        InputError
            The cache is larger than the memory, watermarks are out of order, or the course has
            too many rows.
        """
        plan, rows = self.plan, [list(row) for row in self.plan.rows]
        cache, anon = self.t0_pages
        managed = int(memory.zones["managed"].sum())
        must = f"leave room in the guest's {managed} pages of memory"
        require(cache + anon < managed, "workload.cache_MiB + anon_MiB", must, cache + anon)
        pieces = 0
        for row in rows:
            if row[S_KIND] == FRAG:
                row[S_SOURCE], pieces = pieces, pieces + row[S_PAGES] // row[S_LAST]
            elif row[S_KIND] == BALLOON:
                whole_MiB = -(-int(memory.zones["present"].sum()) // PAGES_PER_MIB)
                row[S_SOURCE] = max(0, whole_MiB * PAGES_PER_MIB - row[S_SOURCE])
            elif row[S_KIND] == RELEASE:
                row[S_SOURCE], row[S_MORE] = held_places(self)
        sysctl = Sysctl(**{name: getattr(self, name) for name in SYSCTLS})
        places = plan.places + cache + -(-anon // 512) * 512 + 512
        reclaim = new_reclaim(memory, places, self.swap_MiB * PAGES_PER_MIB, sysctl)
        marks = memory.zones["watermark"]
        in_order = bool((np.diff(marks, axis=1) >= 0).all())
        require(in_order, "memory: watermarks", "ascend: min, low, high", marks.tolist())
        course = duration_ns // self.course_ns + 2
        most = f"make at most {MOST_COURSE_ROWS} rows in the run"
        require(course <= MOST_COURSE_ROWS, "workload.course_ns", most, self.course_ns)
        if self.without:
            reclaim.node["ablations"] = WRONG_RULES[self.without]
        return {
            "reclaim": reclaim,
            "jobs": new_jobs(rows, places, course, pieces, NR_BLOCKS + 1, self._turns),
            "held": np.zeros((1, 1), np.int64),
            "mem_map": np.zeros(memory.nr_pages >> STRUCTURES_SHIFT, np.int64),
        }

    def begin(self, world, stream) -> None:
        """Put T0's pages on their lists, fill what is to be there, and begin the jobs."""
        # Imported with the kernels of reclaim and compaction, which no other guest needs.
        from freehint.engine.guest.pressure.start import begin_jobs, fill_before, place_lists

        boot_content(world, 0)
        place_mem_map(world)
        place_lists(world, self)
        fill_before(world, self)
        begin_jobs(world, self, stream)


def _made_again(values: dict) -> UnderPressure:
    return UnderPressure(**values)
