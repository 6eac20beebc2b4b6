"""The state of a guest's jobs: which step runs, who has the CPU, the disk, and the course.

The memory that the jobs use has *places*: one for each page of a file and of an anonymous mapping
(:class:`freehint.mm.reclaim.state.Reclaim`).  What a place holds is kept here, so that a page that
comes back from a file or from swap has its content again.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from freehint.engine.world.records import new_record
from freehint.mm.memory import new_memory, new_zones
from freehint.mm.profile import LINUX_6_1
from freehint.mm.reclaim.counts import COUNTS
from freehint.mm.reclaim.state import Reclaim, new_reclaim

JOB, KSWAPD, KCOMPACTD, NR_TASKS = range(4)  # the tasks that share the CPU
NOBODY = -1
# The parts of a step, in their order; RESUMES is that of a step which waits for memory.
EXEC, WORK, EXIT, NEXT = range(4)
DONE, KILLED, NOT_ENDED = range(3)
OUTCOMES = ("done", "killed", "not ended")
PROCESS_BLOCKS = 31  # of a process beside what its step allocates
# /sys/kernel/mm/transparent_hugepage/defrag.  The jobs' memory is not advised by madvise().
THP_DEFRAG = ("always", "defer", "defer+madvise", "madvise", "never")
MOST_FORKS = 1024  # processes of "fork" alive at a time
# Columns of Jobs.course before the counters.
COURSE = (
    *("time_ns", "free_pages", "pcp_pages", "kswapd_awake"),
    *("inactive_anon", "active_anon", "inactive_file", "active_file"),
    *("dirty_pages", "writeback_pages", "swap_free_pages"),
)
NR_COURSE_STATE = len(COURSE)
# Columns of Jobs.log, one row a step.
LOG_COLUMNS = (*("begin_ns", "end_ns", "outcome", "stalls", "stall_ns", "allocations", "ooms"),)
L_BEGIN, L_END, L_OUTCOME, L_STALLS, L_STALL_NS, L_ALLOCATIONS, L_OOMS = range(len(LOG_COLUMNS))

JOB_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            # the step
            "step",  # row of Jobs.step
            "part",  # EXEC .. NEXT
            "at",  # next page of the step
            "ahead",  # next page that readahead brings
            "window",  # end of the readahead window
            "extents",  # reads from swap that the window takes
            "copied",  # pages of a copy that were read
            "syncs",  # 1: the job waits until all is written
            "began_ns",  # of the part
            "ready_ns",  # time until which the job sleeps
            "waits_some",  # 1: until the disk has done any page
            "waits_io",  # 1: until the disk has done what it waits for
            "oom_of",  # 1 + the step whose process is killed and gives back its pages
            "exit_at",  # next place to give back
            "stall_ns",  # work of the task in the stall that lasts, or has just ended
            "stall_from",  # time_ns at which it began
            "paid_ns",  # part of stall_ns that the clock has paid
            "stall_kind",  # WAIT_RECLAIM or WAIT_COMPACT
            "nr_slabs",  # entries of Jobs.slab
            "nr_process",  # entries of Jobs.process
            "cached",  # pages that a file brought into the cache
            "written",  # pages that a file wrote
            # fork
            "fork_from",  # oldest process alive
            "fork_to",  # process that is made
            "fork_at",  # its next block
            "fork_ns",  # time from one block to the next
            "life_ns",
            # the CPU
            "task",  # JOB .. KCOMPACTD, or NOBODY
            "picked_ns",  # time since which that task runs
            "interrupts_ns",  # time that interrupts took, which the running task still has to pay
            "tick_at",  # time_ns of the next tick
            "eevdf",  # 1: the kernel shares by EEVDF, 0: by CFS
            "protected",  # 1: EEVDF has not yet given the running task a new slice
            "host_turn",  # row of Jobs.turns
            "host_left_ns",  # work of the tasks until the host takes the CPU away
            # what everything takes longer than usual, in thousandths: now; in "dirty", before
            # kswapd has run in it and from then on
            "slow",
            "slow_fill",
            "slow_swap",
            "runs_before",  # of kswapd, before the step
            # the disk and dirty pages
            "disk_ns",  # time in which it writes a page
            "swap_in_ns",  # time until a page from swap is there
            "io_at",  # time_ns at which the page handed over first is done, or NEVER
            "dirty_from",  # oldest entry of Jobs.dirty
            "dirty_to",
            "kcompactd_at",  # time_ns at which kcompactd looks at the score
            "nap_at",  # time_ns at which a nap of kswapd ends, or NEVER
            "flush_to",  # up to here the flusher writes all
            "flush_at",  # time_ns of the flusher's next turn
            "dirty_ratio",
            "dirty_background_ratio",
            "huge_pages",  # 1: anonymous memory gets huge pages
            "thp_defrag",  # position in THP_DEFRAG: what a fault does if there is none
            # the run's tables
            "course_at",  # time_ns of the next row
            "course_ns",  # time between two rows
            "nr_course",
            "ooms",
        )
    ]
)
# Entries of Jobs.rate: time in ns that a job needs for a page, or for a process.
R_READ, R_REREAD, R_WRITE, R_FILL, R_REWRITE, R_EXIT, R_RM, R_EXEC, R_OOM, R_HUGE, NR_RATES = range(
    11
)


class Jobs(NamedTuple):
    """The jobs of a guest with ``P`` places; all arrays are empty in other guests.

    step : int64[n, 6]           S_KIND .. S_LAST of steps.py
    log : int64[n, 7]            L_BEGIN .. L_OOMS
    state : record[1]            JOB_DTYPE
    rate : int64[10]             R_READ .. R_HUGE, ns
    vruntime : int64[3]          of each task, ns
    runnable : uint8[3]          0: asleep, 1: runnable, 2: asleep, but still on EEVDF's queue
    deadline : int64[3]          EEVDF: virtual time at which the task's slice ends, ns
    vlag : int64[3]              EEVDF: virtual time that the task lacked when it went to sleep, ns
    content : uint32[P]          version of what the place holds, resident or not
    table : int32[P / 512]       1 + the page table page of 512 places, or 0
    slab : int64[s, 2]           RECLAIMABLE blocks of the page cache: node << 4 | order, place of
                                 the file
    process : int64[31]          blocks of the process of the step: node << 4 | order
    fork : int64[F, blocks + 1]  blocks of forked processes, and the time of exit
    dirty : int64[d, 2]          ring: places that became dirty, the oldest first, and when
    pieces : int64[p]            the order in which "frag" gives back its pieces
    turns : int64[t, 2]          ring: ns that the host lets the CPU run, and then takes it away
    course : int64[rows, columns]    COURSE and the counters over time
    """

    step: np.ndarray
    log: np.ndarray
    state: np.recarray
    rate: np.ndarray
    vruntime: np.ndarray
    runnable: np.ndarray
    deadline: np.ndarray
    vlag: np.ndarray
    content: np.ndarray
    table: np.ndarray
    slab: np.ndarray
    process: np.ndarray
    fork: np.ndarray
    dirty: np.ndarray
    pieces: np.ndarray
    turns: np.ndarray
    course: np.ndarray


def new_jobs(steps=(), places=0, course_rows=0, pieces=0, fork_columns=0, turns=()) -> Jobs:
    """Jobs that have not begun; without steps, of a guest that has none."""
    n = len(steps)
    some = int(n > 0)
    return Jobs(
        step=np.array(steps, np.int64).reshape(n, 6),
        log=np.zeros((n, len(LOG_COLUMNS)), np.int64),
        state=new_record(JOB_DTYPE),
        rate=np.zeros(NR_RATES, np.int64),
        vruntime=np.zeros(NR_TASKS, np.int64),
        runnable=np.zeros(NR_TASKS, np.uint8),
        deadline=np.zeros(NR_TASKS, np.int64),
        vlag=np.zeros(NR_TASKS, np.int64),
        content=np.zeros(places, np.uint32),
        table=np.zeros(places // 512, np.int32),
        slab=np.zeros((some * 2 * (places // 64 + 64), 2), np.int64),
        process=np.zeros(some * PROCESS_BLOCKS, np.int64),
        fork=np.zeros((some * MOST_FORKS, fork_columns), np.int64),
        dirty=np.zeros((some * (places + 1), 2), np.int64),
        pieces=np.zeros(pieces, np.int64),
        turns=np.array(turns, np.int64).reshape(-1, 2),
        course=np.zeros((course_rows, len(COURSE) + len(COUNTS)), np.int64),
    )


@cache
def no_reclaim() -> Reclaim:
    """The Reclaim of a guest whose memory is never reclaimed: without a page."""
    zone = new_zones(index=[0], start_pfn=[0], spanned=[1024], present=[1024], managed=[1024])
    return _emptied(new_reclaim(new_memory(zone, 1, LINUX_6_1), 0))


def _emptied(value):
    """A tuple of arrays, or of such tuples, with all arrays cut to nothing."""
    if isinstance(value, np.ndarray):
        return value[:0]
    return type(value)(*map(_emptied, value))
