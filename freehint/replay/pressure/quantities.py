"""The counts that a prediction under pressure is judged by, and how far off each may be.

Counts of events are to be within 25 %, or within 5 events if that is wider: a count of 20 varies by
about that much (the root of 20) from run to run.  Pages are reclaimed, swapped and compacted in
batches of 32 (SWAP_CLUSTER_MAX, COMPACT_CLUSTER_MAX), so for pages it is 5 batches.

Source: vmstat_text[] in mm/vmstat.c for the counters' names.
"""

from dataclasses import dataclass

from freehint.replay.pressure.measured import FAILURES, FULL_SLEEPS

SHARE, LEAST_EVENTS, BATCH = 0.25, 5, 32
JUDGED, SHOWN = True, False


@dataclass(frozen=True)
class Quantity:
    """A row of counts.

    Attributes
    ----------
    name : str
    counters : tuple of str
        Names of /proc/vmstat that are added up; one that ends with "_" stands for all names that
        begin with it.
    unit : int
        The number that one event adds, usually.
    judged : bool
    exact : bool
        No difference is allowed.
    """

    name: str
    counters: tuple
    unit: int = 1
    judged: bool = JUDGED
    exact: bool = False

    def of(self, counts: dict) -> int:
        """The quantity's value."""
        return sum(
            value
            for name, value in counts.items()
            if any(
                name == one or (one.endswith("_") and name.startswith(one)) for one in self.counters
            )
        )

    def allowed(self, recorded: int) -> float:
        """The largest difference that holds the bar."""
        return 0 if self.exact else max(SHARE * recorded, LEAST_EVENTS * self.unit)

    @property
    def bar(self) -> str:
        """The bar, as text."""
        if not self.judged:
            return ""
        return "equal" if self.exact else f"25 % or {LEAST_EVENTS * self.unit}"


QUANTITIES = (
    Quantity("kswapd wakes", ("pageoutrun",)),
    Quantity("kswapd sleeps", ("kswapd_low_wmark_hit_quickly", FULL_SLEEPS)),
    Quantity("kswapd goes on instead of sleeping", ("kswapd_high_wmark_hit_quickly",)),
    Quantity("pages scanned by kswapd", ("pgscan_kswapd",), BATCH),
    Quantity("pages reclaimed by kswapd", ("pgsteal_kswapd",), BATCH),
    Quantity("direct reclaims", ("allocstall_",)),
    Quantity("pages scanned directly", ("pgscan_direct",), BATCH),
    Quantity("pages reclaimed directly", ("pgsteal_direct",), BATCH),
    Quantity("pages swapped out", ("pswpout",), BATCH),
    Quantity("pages swapped in", ("pswpin",), BATCH),
    Quantity("direct compactions", ("compact_stall",)),
    Quantity("pages migrated", ("pgmigrate_success",), BATCH),
    Quantity("failed allocations", (FAILURES,), exact=True),
    Quantity("OOM kills", ("oom_kill",), exact=True),
    Quantity("direct compactions with success", ("compact_success",), 1, SHOWN),
    Quantity("huge pages faulted in", ("thp_fault_alloc",), 1, SHOWN),
    Quantity("huge pages that were not there", ("thp_fault_fallback",), 1, SHOWN),
    Quantity("refaults of file pages", ("workingset_refault_file",), BATCH, SHOWN),
    Quantity("refaults of anonymous pages", ("workingset_refault_anon",), BATCH, SHOWN),
    Quantity("pages activated", ("pgactivate",), BATCH, SHOWN),
    Quantity("pages deactivated", ("pgdeactivate",), BATCH, SHOWN),
    Quantity("pages skipped because of their zone", ("pgskip_",), BATCH, SHOWN),
    Quantity("pages written back", ("nr_written",), BATCH, SHOWN),
)
