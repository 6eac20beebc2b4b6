"""Whole live migrations of large guests: events per second, time and memory; the validator.

``python -m benchmarks.migrations [SIZE ...]``: without sizes it measures 4GiB, 64GiB and the
validator.  Each run has a process of its own, so that its peak memory is its own; kernels are
compiled before.
An event is an operation of a guest CPU, a page sent, a buffer used or a block reported.
"""

import json
import multiprocessing
import sys
from time import perf_counter

import freehint as fh
from benchmarks.machine import describe
from benchmarks.memory import memory_MiB
from freehint.replay.validate import validate_migration
from freehint.units import NS_PER_MS, NS_PER_S

TEN_GBIT_BPS = 1_250_000_000
VALIDATOR = "validate migration"


def scenario(size: str, policy: str) -> fh.Scenario:
    """A guest whose four CPUs come to hold half of what is free, moved over 10 Gbit/s."""
    nr_pages = fh.make_memory(size).nr_pages
    # Every page once, the rest of a second for rounds and the time after.
    whole_ns = nr_pages * 4104 * NS_PER_S // TEN_GBIT_BPS
    return fh.Scenario(
        memory=size,
        policy=policy,
        workload=fh.Workload(interval_ns=20_000),  # writes less than the link carries
        migration=fh.MigrationConfig(bandwidth_Bps=TEN_GBIT_BPS, start_at_ns=500 * NS_PER_MS),
        duration_ns=3 * whole_ns + 2 * NS_PER_S,
    )


def migrate(size: str, policy: str) -> dict:
    """One migration: what it took and what it did."""
    begin = perf_counter()
    run = fh.simulate(scenario(size, policy))
    seconds = perf_counter() - begin
    s = run.summary
    events = s["allocations"] + s["frees"] + s["writes"] + s["failed_allocations"]
    events += s["normal_pages"] + s["zero_pages"] + 2 * len(run.reports)
    return {
        "what": f"{size}, {policy}",
        "seconds": seconds,
        "M events": events / 1e6,
        "M events/s": events / seconds / 1e6,
        "peak MiB": memory_MiB("VmHWM"),
        "migration": s["migration"],
        "migration s": s["total_ns"] / 1e9,
        "GB sent": s["sent_bytes"] / 1e9,
        "rounds": s["rounds"],
        "lost writes": s["lost_writes"],
    }


def validate(_what, _policy) -> dict:
    """The validator over the sample's migrations."""
    begin = perf_counter()
    validate_migration(fh.data("linux-6.1/migration"))
    seconds = perf_counter() - begin
    return {"what": VALIDATOR, "seconds": seconds, "peak MiB": memory_MiB("VmHWM")}


def main(sizes) -> None:
    """Measure and print, a line a run."""
    jobs = [(migrate, size, policy) for size in sizes for policy in ("none", "balloon_alloc")]
    if not sizes:
        jobs = [(migrate, s, p) for s in ("4GiB", "64GiB") for p in ("none", "balloon_alloc")]
        jobs.append((validate, VALIDATOR, ""))
    print(json.dumps(describe()))
    for job, *arguments in [(migrate, "64MiB", "balloon_alloc"), *jobs]:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(job, arguments)
        text = (f"{n} {v:,.2f}" if isinstance(v, float) else f"{n} {v}" for n, v in row.items())
        print(", ".join(text), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
