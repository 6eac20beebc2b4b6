"""What the actors of a simulation share: the clock, the zone locks, the fate of every hint.

Time is integer nanoseconds.  Every actor has one key, ``time << 5 | actor``: the smallest key
is the next event, and ties go to the lower actor, so the order of events is exact.
"""

from typing import NamedTuple

import numpy as np

from freehint.engine.world.dirty import DirtyLog
from freehint.engine.world.paging import Paging
from freehint.engine.world.ring import Ring
from freehint.mm.compaction import CompactControl
from freehint.mm.memory import Memory


class World(NamedTuple):
    """Everything that moves.  ``C`` CPUs, ``Z`` zones; then come the kernel threads (actor C), the
    host (C + 1) and the workers of ``U`` users (C + 2 ..).

    memory : Memory
    key : int64[C + 2 + U]          time_ns << 5 | actor
    lock_until : int64[Z]       time_ns from which a zone lock is free of short holds
    cost : record[1]            one field for each of Costs, ns
    state : record[1]           STATE_DTYPE
    tally : record[1]           TALLY_DTYPE
    user : record[U]            USER_DTYPE
    cpu : record[C]             CPU_DTYPE
    words : int64[C, W]         random words drawn beforehand, one an event, a stream a CPU
    held : int64[C, capacity]   blocks that each CPU holds: node << 4 | order; a recorded guest's
                                pages are all in row 0, see guest/recorded.py
    pages : int64[n]            a program's pages in its order: place in ``held`` << 9 | page within
                                that block
    pieces : int64[m, 3]        a ring of places in ``held`` from and to, then pages (churn), or
                                time_ns of the exit (fork); cache: a row a file
    background : int64[b]       pages that the idle kernel writes
    trace : int64[rows, 6]      a recorded guest's allocations and frees, CPU after CPU: T_TIME ..
                                T_NODE of guest/recorded.py
    mem_map : int64[nr_pages / 64 or 0]   pages that hold the array of page structures
    owner : int32[nr_pages]     1 + the place in ``held``, flat, of each page of order 0, or 0; read
                                now and then by kcompactd, and true where ``held`` agrees
    control : CompactControl    kcompactd's scanners
    wish : uint8[2, 4096]       quantiles of the wanted orders (row 0) and types (row 1)
    gaps : int64[n, 2]          host: (time until the next gap, its length), drawn beforehand
    ring : Ring
    report : int64[U, capacity + 1, 3]   a stroke's rows: (node, order, blocks looked at)
    outcome : uint8[U, capacity]         Outcome of each row
    fate : uint16[nr_pages]     the fate of every hint, page by page: HOST_HAS (the host used the
                                buffer), and for each user IN_FLIGHT (its ring has it),
                                FREE_THROUGHOUT (not allocated since its walk began),
                                HINTED_THIS_WALK; STALE, until it is allocated or hinted anew
    migration : record[1]       MIGRATION_DTYPE
    host : record[1]            HOST_DTYPE
    dirty : DirtyLog
    version : uint32[nr_pages or 0]   a page's content: 0 = a zero page, else no two are equal
    copy : uint32[nr_pages or 0]      content as last sent
    present : uint64[nr_pages / 64 or 0]  resident on the host; on a migration's destination: sent
                                with content
    paging : Paging             the guest on a host that it shares with others
    reports, waits, used : int64[rows, columns]   tables; their lengths are in ``state``
    apart : int64[4]            addresses, in this process, of the kernels of rare actors, or 0
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
    paging: Paging
    reports: np.ndarray
    waits: np.ndarray
    used: np.ndarray
    apart: np.ndarray
