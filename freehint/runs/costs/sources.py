"""Where the number of each cost comes from.

The docstrings of the dataclasses say the same in prose; a test holds both against each other.
"""

from dataclasses import fields
from typing import NamedTuple

import pandas as pd

from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.shared import SharedHost
from freehint.engine.world.records import Costs
from freehint.runs.costs.clearing import Clearing

MEASURED, PUBLISHED, CALIBRATED, ASSUMED = KINDS = (
    "measured",  # by freehint, on a real machine
    "published",  # by others
    "calibrated",  # fitted to recordings of real kernels
    "assumed",  # nobody measured it for this model
)
PARTS = {
    "costs": Costs,
    "host": HostConfig,
    "migration": MigrationConfig,
    "SharedHost": SharedHost,
    "Clearing": Clearing,
}
NO_SCENARIO = ("SharedHost.", "Clearing.")  # parts that a scenario does not have


class Source(NamedTuple):
    """kind : one of KINDS; said : one sentence on where the number comes from."""

    kind: str
    said: str


SOURCES = {
    "costs.walk_block_ns": Source(
        MEASURED, "One dependent load from memory took 134 to 186 ns on a server-class machine."
    ),
    "costs.report_ns": Source(
        ASSUMED, "virtqueue_add and the callback: some 100 instructions and two cache lines."
    ),
    "costs.rotate_ns": Source(ASSUMED, "A move to the tail writes three more cache lines."),
    "costs.lock_ns": Source(ASSUMED, "Two transfers of a cache line between two cores."),
    "costs.notify_ns": Source(ASSUMED, "The guest's side of a VM exit."),
    "costs.pcp_ns": Source(ASSUMED, "The fast path of the allocator, in its caches."),
    "costs.buddy_ns": Source(
        MEASURED, "An operation took 30 to 110 ns with 64-byte page structures (make bench)."
    ),
    "costs.fault_ns": Source(ASSUMED, "An EPT violation, and a page that the host clears."),
    "costs.huge_fault_ns": Source(ASSUMED, "The host clears 512 pages at the rate of write_ns."),
    "costs.migrate_page_ns": Source(ASSUMED, "Unmap, copy and map one page."),
    "costs.write_ns": Source(
        PUBLISHED, "4096 B at 10.3 GB/s, one thread of STREAM (Wrenger et al., EuroSys '25)."
    ),
    "costs.scan_page_ns": Source(
        CALIBRATED, "Fitted to kswapd in the recordings linux-6.1/rc_cache and rc_oom."
    ),
    "costs.deactivate_page_ns": Source(ASSUMED, "As looking at a page of an LRU list."),
    "costs.reclaim_page_ns": Source(
        CALIBRATED, "8.0 us a page in rc_cache and 17 us in rc_oom, less what scanning takes."
    ),
    "costs.swap_out_ns": Source(
        CALIBRATED, "The flusher took 0.73 s for 85,773 pages in the recording rc_cache."
    ),
    "costs.throttle_ns": Source(
        ASSUMED, "1 of the 100 ms of VMSCAN_THROTTLE_NOPROGRESS, which kswapd cuts short."
    ),
    "costs.compact_scan_ns": Source(ASSUMED, "One look at a page frame."),
    "host.service_ns": Source(ASSUMED, "A pop from the virtqueue and clearing bits of a bitmap."),
    "host.kick_ns": Source(ASSUMED, "From a notification until a sleeping thread runs."),
    "host.gap_ns": Source(ASSUMED, "One slice of a busy host's scheduler."),
    "host.gap_every_ns": Source(ASSUMED, "How often such a slice goes to somebody else."),
    "migration.zero_page_ns": Source(ASSUMED, "A scan of 4096 B by the sending thread."),
    "migration.normal_page_ns": Source(ASSUMED, "The scan, and 4096 B written to a socket."),
    "migration.hint_latency_ns": Source(ASSUMED, "An interrupt and a work item in the guest."),
    "SharedHost.swap_in_ns": Source(
        ASSUMED, "A random read of 4 KiB from an NVMe drive and the fault around it."
    ),
    "SharedHost.swap_out_ns": Source(ASSUMED, "Sequential writes, many under way, at 400 MB/s."),
    "Clearing.clear_page_ns": Source(ASSUMED, "Clearing 4 KiB takes what writing it takes."),
    "Clearing.clear_huge_ns": Source(ASSUMED, "Clearing 2 MiB takes 512 times that."),
}


def cost_sources() -> pd.DataFrame:
    """Where the default of each cost comes from: a measurement, a paper, recordings, or nowhere.

    Returns
    -------
    DataFrame
        One row for each cost, with its name as index (``costs.lock_ns``; sweeps and ``--set`` use
        the same names, but for SharedHost's, which :func:`freehint.overcommit` takes, and
        Clearing's, which :func:`freehint.page_price` takes): value_ns (the default), source
        ("measured", "published", "calibrated", "assumed"), said (one sentence).

    Examples
    --------
    >>> import freehint as fh
    >>> fh.cost_sources().loc["costs.write_ns", "source"]
    'published'
    """
    defaults = {
        f"{part}.{field.name}": field.default
        for part, kind in PARTS.items()
        for field in fields(kind)
    }
    rows = [(name, defaults[name], *SOURCES[name]) for name in SOURCES if name in defaults]
    table = pd.DataFrame(rows, columns=["name", "value_ns", "source", "said"])
    return table.set_index("name")


def assumed() -> list[str]:
    """The costs of a scenario that are assumed, named as in ``Scenario.with_values``."""
    table = cost_sources()
    names = table.index[table["source"] == ASSUMED]
    return [name for name in names if not name.startswith(NO_SCENARIO)]
