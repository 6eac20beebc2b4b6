"""Summaries of the compile benchmark, with made-up numbers that all differ."""

import pandas as pd

from freehint.studies.compile import START_NS
from freehint.units import NS_PER_S

END_NS = START_NS + 30 * NS_PER_S


def sweep_of_summaries():
    """Two policies and reporting, switched on and off, on both guests; all numbers differ."""
    rows = []
    for policy in ("none", "v24", "page_reporting"):
        for off in (-1, 0):
            for footprint in (1 << 18, 0):
                hints = policy != "none" and off < 0
                rows.append(
                    {
                        "policy": policy,
                        "control.off_at_ns": off,
                        "workload.footprint_pages": footprint,
                        "workload.speed": 1,
                        "migration.bandwidth_Bps": 50_000_000,
                        "seed": 1,
                        "status": "done",
                        "error": "",
                        "migration": "completed",
                        "total_ns": (6 if hints or not footprint else 20) * NS_PER_S,
                        "sent_bytes": 300_000_000 if hints or not footprint else 1_000_000_000,
                        "downtime_ns": 8_000_000,
                        "alloc_wait_p99_ns": 0,
                        "alloc_wait_max_ns": 5_000 * hints,
                        "alloc_wait_sum_ns": 7_000 * hints,
                        "failed_allocations": 0,
                        "migration_rows": 100,
                        "faults": 1_000 * hints,
                        "fault_ns": 2_000_000 * hints,
                        "migration_slip_ns": 8_000_000,
                        "slip_after_ns": 500_000 + 2_000_000 * hints,
                        "lost_writes": 0,
                    }
                )
    return pd.DataFrame(rows)
