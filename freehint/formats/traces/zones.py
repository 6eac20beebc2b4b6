"""The zones of rows about per-CPU lists: from addresses, or from the pages that they drain.

Source: free_pcppages_bulk() and drain_pages_zone() in mm/page_alloc.c.
"""

import numpy as np

from freehint.config import InputError
from freehint.formats.traces import rows
from freehint.formats.traces.events import is_event
from freehint.formats.traces.recording import Recording
from freehint.mm.profile import DRAIN_ROUND_ROBIN


def fill_zones(recording: Recording, columns, kinds, column, path) -> None:
    """Fill in the zones that rows of these kinds name by the low 31 bits of their addresses."""
    trace = recording.trace
    for at in np.flatnonzero(np.isin(columns.kind, kinds)):
        address = int(trace[column].iloc[at])
        if address not in recording.zone_addresses:
            row, event = trace["seq"].iloc[at], trace["event"].iloc[at]
            raise InputError(
                f"{path}: row {row} ({event}): {column} {address} is no zone's address"
            )
        columns.value[at] = recording.zone_addresses.index(address)


def fill_drains(recording: Recording, columns, path) -> None:
    """Fill in the zones of drains, and tell those that no free makes.

    Before 5.17 the row names the zone, and a free drains a batch; every other number of pages
    is that of a whole zone.  Later the page that is drained first tells the zone.
    """
    drains = np.flatnonzero(columns.kind == rows.DRAIN)
    pages = recording.trace["a"].to_numpy()[drains]
    columns.node[drains] = pages
    memory = recording.t0
    if memory.profile.pcp_drain == DRAIN_ROUND_ROBIN:
        fill_zones(recording, columns, (rows.DRAIN,), "b", path)
        zone, cpu = columns.value[drains], np.clip(columns.cpu[drains], 0, memory.nr_cpus - 1)
        columns.kind[drains[pages != memory.pcp["batch"][zone, cpu]]] = rows.DRAIN_ZONE
        return
    first = np.flatnonzero(columns.kind == rows.PCPU_DRAIN)
    after = np.searchsorted(first, drains)
    columns.kind[drains[after == len(first)]] = rows.IGNORED
    drains, after = drains[after < len(first)], after[after < len(first)]
    pfns = columns.node[first[after]] + memory.base_pfn
    columns.value[drains] = np.maximum(
        np.searchsorted(memory.zones.start_pfn, pfns, "right") - 1, 0
    )


def fill_cpus(recording: Recording, columns, path) -> None:
    """Fill in the CPU whose lists a drain_zone row drains; a task on another CPU may drain them.

    Rows that do not name it drain their own CPU's.
    """
    trace, drains = recording.trace, np.flatnonzero(columns.kind == rows.DRAIN_ZONE)
    cpus = np.where(is_event(trace, "drain_zone"), trace["b"], -1)[drains]
    wrong = drains[cpus >= recording.t0.nr_cpus]
    if len(wrong):
        row, event, cpu = (trace[name].iloc[wrong[0]] for name in ("seq", "event", "b"))
        raise InputError(f"{path}: row {row} ({event}): b {cpu} is no CPU of the snapshot")
    columns.node[drains] = np.where(cpus < 0, columns.cpu[drains], cpus)
