"""struct scan_control: what a pass over the lists shall do and what it has met.

Source: mm/vmscan.c of Linux 6.1.
"""

from collections import Counter
from dataclasses import dataclass, field

from freehint.mm.reference.reclaim.lists import DEF_PRIORITY


@dataclass
class ScanControl:
    """``struct scan_control`` of kswapd, of a task, or of a write to memory.reclaim (a cgroup's).

    ``nr`` has the pages that shrink_folio_list() met in this pass, as struct reclaim_stat.
    """

    kswapd: bool
    reclaim_idx: int
    nr_to_reclaim: int = 0
    order: int = 0
    cgroup: bool = False
    priority: int = DEF_PRIORITY
    may_writepage: bool = True
    may_swap: bool = True
    may_deactivate: set[str] = field(default_factory=set)
    force_deactivate: bool = False
    skipped_deactivate: bool = False
    cache_trim_mode: bool = False
    file_is_tiny: bool = False
    compaction_ready: bool = False
    nr_scanned: int = 0
    nr_reclaimed: int = 0
    nr: Counter = field(default_factory=Counter)
