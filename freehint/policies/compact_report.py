"""Compact, then report: what agents in guests do so that more of the free memory can leave.

Free memory in small pieces cannot leave a host that takes it back in blocks of 2 or 4 MiB.  So an
agent writes /proc/sys/vm/compact_memory, and all free blocks of ``report_order`` or more are then
reported.  The price is pages that are copied, and the time that takes.

The guest goes on meanwhile.  The pass is that of free page reporting, without its budget of a
sixteenth of a list.

Source: kata-containers, mem-agent (compacts at order 9, every 10 minutes, when the guest is not
busy); WSL compacts an idle guest before its memory is reported (microsoft/WSL, PR 41096).
"""

from dataclasses import dataclass

from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import CAPACITY, Knob
from freehint.units import NS_PER_S

GRANULARITY = Knob("report_order", (0, 9, 10))  # 4 KiB, 2 MiB, 4 MiB


@dataclass(frozen=True)
class CompactReport(PageReporting):
    """Compact all memory, then report every free block of ``report_order`` or more.

    Attributes
    ----------
    delay_ns : int
        The time from a free, or from the end of a pass, to the next compaction.
    compacts : bool
        False leaves out the compaction, and all else is the same: what does compacting add?
    """

    name: str = "compact_report"
    delay_ns: int | None = 2 * NS_PER_S
    share: int = 1
    compacts: bool = True
    colour: str = "wine"
    mark: str = "h"
    knobs: tuple = (GRANULARITY, CAPACITY, Knob("compacts", (True, False)))
