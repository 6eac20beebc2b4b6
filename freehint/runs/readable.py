"""How the entries of a run's summary are called and written for people."""

from freehint.units import format_ns, format_pages, format_share

# Label, entry of the summary, and the function that formats it.
READABLE = (
    ("offered", "offered_pages", format_pages),
    ("hinted", "hinted_pages", format_pages),
    ("lost on a full ring", "lost_pages", format_pages),
    ("hinted twice", "duplicate_pages", format_pages),
    ("coverage", "coverage", format_share),
    ("stale", "stale_pages", format_pages),
    ("survival", "survival", format_share),
    ("walk took", "walk_ns", lambda ns: format_ns(ns) if ns >= 0 else "not finished"),
    ("strokes", "strokes", "{:,}".format),
    ("lock held p50", "lock_held_p50_ns", format_ns),
    ("lock held p99", "lock_held_p99_ns", format_ns),
    ("lock held max", "lock_held_max_ns", format_ns),
    ("allocation wait max", "alloc_wait_max_ns", format_ns),
    ("operations that waited", "waits", "{:,}".format),
    ("allocations", "allocations", "{:,}".format),
    ("steps over bookmarks", "bookmark_ns", format_ns),
)
MIGRATION_READABLE = (
    ("migration", "migration", str),
    ("sent", "sent_bytes", lambda sent: f"{sent / 1e6:,.1f} MB"),
    ("migration took", "total_ns", lambda ns: format_ns(ns) if ns >= 0 else "not ended"),
    ("downtime", "downtime_ns", lambda ns: format_ns(ns) if ns >= 0 else "not stopped"),
    ("rounds", "rounds", "{:,}".format),
    ("skipped by hints", "skipped_pages", format_pages),
    ("lost writes", "lost_writes", lambda pages: f"{pages:,}" if pages >= 0 else "not compared"),
    ("faults afterwards", "faults", "{:,}".format),
)
# The entries of waiting(), which is made of the table of waits.
WAITS_READABLE = (
    ("allocation wait p99.9", "alloc_wait_p999_ns", format_ns),
    ("mean of the waits", "alloc_wait_mean_ns", format_ns),
    ("allocations that waited", "alloc_waited", format_share),
)
PRESSURE_READABLE = (
    ("reclaimed by kswapd", "pgsteal_kswapd", format_pages),
    ("reclaimed directly", "pgsteal_direct", format_pages),
    ("stalls of reclaim and compaction", "stalls", "{:,}".format),
    ("stalled for", "stall_ns", format_ns),
    ("written to swap", "pswpout", format_pages),
    ("killed by the OOM killer", "jobs_killed", "{:,}".format),
)
RETRIES_READABLE = (("offered again when lost", "retried_pages", format_pages),)
WALK_ONLY = {"coverage", "survival", "walk_ns"}
# Rows that a run has if its summary has the entry.
MORE_READABLE = (
    (RETRIES_READABLE, "retried_pages"),
    (MIGRATION_READABLE, "migration"),
    (PRESSURE_READABLE, "jobs_killed"),
)
