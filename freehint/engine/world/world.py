"""The state that the actors of a simulation share: clock, zone locks, the fate of every hint.

Time is integer nanoseconds.  Every actor has one key, ``time << 5 | actor``: the smallest key
is the next event, and ties go to the lower actor, so the order of events is exact.
"""

from typing import NamedTuple

import numpy as np

from freehint.engine.world.backing import Backing
from freehint.engine.world.balloon import Balloon
from freehint.engine.world.dirty import DirtyLog
from freehint.engine.world.jobs import Jobs
from freehint.engine.world.paging import Paging
from freehint.engine.world.ring import Ring
from freehint.mm.compact.proactive import CompactControl
from freehint.mm.memory import Memory
from freehint.mm.reclaim.state import Reclaim


class World(NamedTuple):
    """The state of a simulation with ``C`` CPUs, ``Z`` zones and ``U`` users.

    The actors are the CPUs (0 .. C - 1), the kernel threads (C), the host (C + 1), the workers of
    the users (C + 2 ..) and the migration (the last, if there is one).

    memory : Memory
    key : int64[actors]         time_ns << 5 | actor
    lock_until : int64[Z]       time_ns from which no short hold keeps a zone lock
    cost : record[1]            one field for each of Costs, ns
    state : record[1]           STATE_DTYPE
    tally : record[1]           TALLY_DTYPE
    user : record[U]            USER_DTYPE
    cpu : record[C]             CPU_DTYPE
    words : int64[C, W]         random words drawn beforehand: one per event, one stream per CPU
    held : int64[C, capacity]   blocks that each CPU holds: node << 4 | order; a recorded guest's
                                pages are all in row 0, see guest/recorded.py
    pages : int64[n]            a program's pages in its order: place in ``held`` << 9 | page within
                                that block
    pieces : int64[m, 3]        a ring of rows: first place in ``held``, place after the last, and
                                pages (churn) or time_ns of the exit (fork); cache: one per file
    background : int64[b]       pages that the idle kernel writes
    trace : int64[rows, 8]      a recorded guest's allocations and frees, CPU after CPU: T_TIME ..
                                T_AT of guest/recorded.py
    mem_map : int64[nr_pages / 64 or 0]   pages that hold the array of page structures
    owner : int32[nr_pages]     1 + the index in the flat ``held`` of each page of order 0, -1 -
                                the place in the balloon, or 0; kcompactd updates it from time to
                                time: valid where ``held`` or the balloon agrees
    control : CompactControl    kcompactd's scanners
    wish : uint8[2, 4096]       quantiles of the wanted orders (row 0) and types (row 1)
    gaps : int64[n, 2]          the host's gaps, drawn beforehand: time until the next, its length
    ring : Ring
    report : int64[U, capacity + 1, 3]   a stroke's rows: (node, order, blocks looked at)
    outcome : uint8[U, capacity]         Outcome of each row
    fate : uint16[nr_pages]     the fate of every hint, page by page: HOST_HAS (the host used the
                                buffer), and for each user IN_FLIGHT (its ring has the hint),
                                FREE_THROUGHOUT (not allocated since its walk began) and
                                HINTED_THIS_WALK; STALE or REUSED until the page is allocated or
                                hinted anew; LOST_THIS_WALK for each user that allocates
    migration : record[1]       MIGRATION_DTYPE
    host : record[1]            HOST_DTYPE
    dirty : DirtyLog
    version : uint32[nr_pages or 0]   a page's content: 0 is a zero page, others are all different
    copy : uint32[nr_pages or 0]      content as last sent
    present : uint64[nr_pages / 64 or 0]  pages resident on the host; in a migration, pages sent
                                with content
    backing : Backing           what the host has behind the guest's pages
    paging : Paging             the guest's pages on a host that it shares with others
    balloon : Balloon           empty unless a command sets its target
    reclaim : Reclaim           of a guest under pressure; without pages in others
    jobs : Jobs                 likewise
    reports, waits, used : int64[rows, columns]   tables; their lengths are in ``state``
    violations : int64[U, kinds, 3]   times, first time_ns, pfn then: see violations.py
    apart : int64[6]            address in this process of each rare actor's kernel, or 0
    """

    memory: Memory
    key: np.ndarray
    lock_until: np.ndarray
    cost: np.recarray
    state: np.recarray
    tally: np.recarray
    user: np.recarray
    cpu: np.recarray
    words: np.ndarray
    held: np.ndarray
    pages: np.ndarray
    pieces: np.ndarray
    background: np.ndarray
    trace: np.ndarray
    mem_map: np.ndarray
    owner: np.ndarray
    control: CompactControl
    wish: np.ndarray
    gaps: np.ndarray
    ring: Ring
    report: np.ndarray
    outcome: np.ndarray
    fate: np.ndarray
    migration: np.recarray
    host: np.recarray
    dirty: DirtyLog
    version: np.ndarray
    copy: np.ndarray
    present: np.ndarray
    backing: Backing
    paging: Paging
    balloon: Balloon
    reclaim: Reclaim
    jobs: Jobs
    reports: np.ndarray
    waits: np.ndarray
    used: np.ndarray
    violations: np.ndarray
    apart: np.ndarray
