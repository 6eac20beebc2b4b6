"""Hashes of the summaries of 135 runs: has any result changed?

Each policy runs each load, with and without a migration, and guests that share a host; sizes,
kernels, rings, hosts and commands are drawn.  A draw depends on the run's label alone, so a policy
that comes or goes moves no other run.  Only the public interface is used: the modules behind it
may move.

``make summaries`` compares with ``tests/summaries.json``.  A change of a hash is a change of the
model: write the file anew with ``python tests/summaries.py --write``, and say in the commit which
hashes changed and why.  ``--values FILE`` stores the summaries themselves, and ``--against FILE``
names the fields that differ from those.
"""

import argparse
import hashlib
import json
import os
import random
import sys
from functools import partial
from pathlib import Path

import freehint as fh

FILE = Path(__file__).with_suffix(".json")
MS = 1_000_000
# Written out, so that the runs stay the same when fh.POLICIES changes.
POLICIES = (
    *("none", "v24", "v33", "rotate_on_exit", "restartable_cursor", "hold_the_lock"),
    *("five_step", "balloon_alloc", "page_reporting"),
)
STATES = ("idle", "freed", "dirty", "churn", "frag", "burst", "fork", "cache")
# New pairs and walkers go to the end: what they run depends on their number.
PAIRS = (
    *(("v24", "page_reporting"), ("balloon_alloc", "page_reporting"), ("v33", "balloon_alloc")),
    *(("five_step", "page_reporting"), ("restartable_cursor", "v24"), ("none", "v24")),
    *(("rotate_on_exit", "page_reporting"), ("balloon_alloc", "restartable_cursor")),
)
WALKERS = (
    {"rotate": "each_report"},
    {"rotate": "each_report", "resume": "scan_for_first", "capacity": 8},
    {"rotate": "on_exit", "resume": "cursor", "order": "low_first"},
    {"resume": "host_feedback", "feedback": True},
    {"resume": "host_feedback", "capacity": 4, "on_full": "stop"},
    {"resume": "restart", "lock": "per_list", "stops_at_empty_list": True},
    {"resume": "restart", "lock": "per_list", "kick": "half_full", "reserved_descriptors": 1},
    {"resume": "restart", "lock": "per_zone", "report": "acknowledged", "on_full": "wait"},
    {"resume": "restart", "lock": "whole_walk", "on_full": "wait", "min_order": 9},
    {"order": "low_first", "on_full": "wait", "pause_ns": 0, "min_order": 3},
)
SIZES = {"64MiB": 64, "128MiB": 128, "256MiB": 256, "512MiB": 512, "1GiB": 1024}
SNAPSHOTS = ("linux-6.1/traces/fork.T1", "linux-6.1/traces/frag.T1", "linux-6.12/hints/freed.T0")
TRACES = ("6.1/traces/fork", "6.1/traces/compile", "6.12/traces/forkbulk", "6.12/hints/freed")


def draw_workload(chance) -> fh.Workload:
    """A synthetic load of 1 to 4 CPUs."""
    return fh.Workload(
        nr_cpus=chance.choice((1, 2, 4)),
        interval_ns=chance.choice((1_000, 3_000, 10_000)),
        live_share=chance.choice((0.3, 0.6, 0.95)),
        growth=chance.choice((0.6, 0.75, 0.95)),
        write_share=chance.choice((0.1, 0.4)),
    )


def draw_program(chance, state: str, mib: int) -> fh.Program:
    """A program that a guest of ``mib`` MiB has room for."""
    return fh.Program(
        state=state,
        fill_MiB=mib // chance.choice((3, 4, 8)),
        dirty_MiB=mib // chance.choice((4, 8, 16)),
        rate_MiBps=chance.choice((300.0, 1_000.0, 3_000.0)),
        frag_MiB=chance.choice((2 * mib // 3, mib // 2, mib // 4)),
        frag_percent=chance.choice((30, 50, 70)),
        frag_chunk=chance.choice((1, 1, 8, 64)),
        cache_MiB=mib // chance.choice((2, 3, 4)),
        forks_per_s=chance.choice((61.0, 400.0)),
        life_ms=chance.choice((5, 20)),
        rest_ms=chance.choice((5, 20)),
        huge_pages=chance.choice((True, False)),
        init_on_free=chance.choice((True, False)),
        footprint_pages=chance.choice((0, 4_000)),
        background_pages=chance.choice((0, 100)),
    )


def draw_recorded(chance) -> fh.RecordedGuest:
    """A recorded guest, faster than recorded."""
    return fh.RecordedGuest(
        "linux-" + chance.choice(TRACES),
        speed=chance.choice((4, 16, 64.0)),
        repeat=chance.choice((0, 1, 2)),
        footprint_pages=chance.choice((0, 50_000)),
    )


def draw_migration(chance) -> fh.MigrationConfig:
    """A migration of any generation; some are cancelled."""
    return fh.MigrationConfig(
        start_at_ns=chance.randrange(20 * MS),
        bandwidth_Bps=chance.choice((1 << 29, 1 << 31, 1 << 33)),
        downtime_limit_ms=chance.choice((1, 20, 300)),
        generation=chance.choice(("G1", "G2", "G3")),
        chunk_shift=chance.choice((6, 9, 12, 18)),
        initially_set=chance.choice((True, False)),
        zero_page_ns=chance.choice((50, 500)),
        normal_page_ns=chance.choice((300, 1_000)),
        hint_latency_ns=chance.choice((0, 100_000, 1_000_000)),
        cancel_at_ns=chance.choice((-1, -1, -1, 50 * MS)),
    )


def draw_control(chance, duration_ns: int) -> fh.Control:
    """Commands of the host, or none."""
    commands = (
        {},
        {"every_ns": duration_ns // 5},
        {"every_ns": duration_ns // 5, "acknowledge_on_stop": True},
        {"every_ns": duration_ns // 3, "done_at_ns": duration_ns * 3 // 4},
        {"stop_at_ns": 6 * MS, "done_at_ns": duration_ns // 2},
        {"every_ns": duration_ns // 7, "off_at_ns": 5 * MS, "on_at_ns": duration_ns // 2},
    )
    return fh.Control(**chance.choice(commands))


def draw_values(chance) -> dict:
    """Values of the ring and of the host."""
    return {
        "ring.size": chance.choice((2, 16, 128, 1024)),
        "host.service_ns": chance.choice((100, 1_000, 20_000)),
        "host.kick_ns": chance.choice((0, 20_000)),
        "host.gap_ns": chance.choice((0, 200_000, 3_000_000)),
        "host.gap_every_ns": chance.choice((1_000_000, 20_000_000)),
        "host.gaps": chance.choice(("exponential", "uniform", "fixed")),
        "host.discard": chance.choice((True, False)),
    }


def draw_policy(chance, policy):
    """The policy; page reporting gets a short delay, since its two seconds are too long."""
    if isinstance(policy, tuple):
        return tuple(draw_policy(chance, one) for one in policy)
    if policy != "page_reporting":
        return policy
    capacity, order = chance.choice((4, 32)), chance.choice((7, 9))
    return fh.PageReporting(delay_ns=5 * MS, capacity=capacity, report_order=order)


def draw_scenario(label: str, policy, load: str, migrated: bool) -> fh.Scenario:
    """The scenario of a label; always the same one."""
    chance = random.Random(label)
    # Kernel threads have turns every 500 and 1,000 ms.
    duration_ns = chance.choice(((50, 200)[migrated], 300, 1_200, 1_200)) * MS
    kernel = chance.choice((None, "4.15", "5.10", "6.1", "6.12"))
    size = chance.choice((*SIZES, *SNAPSHOTS))
    if load == "recorded":
        size, workload = None, draw_recorded(chance)
    elif load == "workload":
        workload = draw_workload(chance)
    else:
        workload = draw_program(chance, load, SIZES.get(size, 256))
    return fh.Scenario(
        memory=size,
        kernel=kernel,
        policy=draw_policy(chance, policy),
        seed=chance.randrange(1_000),
        workload=workload,
        migration=draw_migration(chance) if migrated else None,
        costs=chance.choice((fh.Costs(), fh.Costs(walk_block_ns=600, buddy_ns=30))),
        control=draw_control(chance, duration_ns),
        walk_at_ns=chance.choice((0, 5 * MS)),
        duration_ns=duration_ns,
    ).with_values(draw_values(chance))


def run_alone(label: str, policy, load: str, migrated: bool) -> dict:
    """Field -> value of one guest's run."""
    return exact("", fh.simulate(draw_scenario(label, policy, load, migrated)).summary)


def run_together(label: str, policy) -> dict:
    """Field -> value of three guests on a host that is too small for them."""
    chance = random.Random(label)
    guests = []
    for number in range(3):
        load = chance.choice(("workload", "churn", "burst", "fork", "dirty"))
        scenario = draw_scenario(f"{label}, guest {number}", policy, load, False)
        values = {"memory": chance.choice(("64MiB", "128MiB")), "host.discard": True}
        if load != "workload":
            values["workload"] = draw_program(chance, load, 64)
        guests.append(fh.Guest(scenario.with_values(values), start_ns=number * 3 * MS))
    host = fh.SharedHost(memory_MiB=chance.choice((64, 96, 128)), swap_MiB=chance.choice((16, 256)))
    found = fh.overcommit(guests, host)
    fields = exact("host: ", found.host_summary)
    for row in found.summary.to_dict("records"):
        fields |= exact(f"{row['guest']}: ", row)
    for name, run in found.runs.items():
        fields |= exact(f"{name}, run: ", run.summary)
    return fields


def exact(prefix: str, row) -> dict:
    """Field -> value as text that tells any two values apart; numpy's numbers as Python's."""
    fields = {}
    for name, value in dict(row).items():
        value = getattr(value, "item", lambda value=value: value)()
        fields[prefix + name] = value.hex() if isinstance(value, float) else repr(value)
    return fields


def runs() -> dict:
    """Label -> (policies that it needs, function that runs it)."""
    found = {}

    def add(needs, label, run, *given):
        found[label] = (needs, partial(run, label, *given))

    for p in POLICIES:
        for turn, state in enumerate(STATES):
            # Half of the states; which half depends on the policy's own name alone.
            moves = (len(p) + turn) % 2 == 0
            add((p,), f"{p}, {state}{', migrated' * moves}", run_alone, p, state, moves)
        for load in ("workload", "recorded"):
            for moves in (False, True):
                add((p,), f"{p}, {load}{', migrated' * moves}", run_alone, p, load, moves)
        add((p,), f"{p}, three guests on one host", run_together, p)
    for number, pair in enumerate(PAIRS):
        load, moves = ("workload", "churn")[number % 2], number % 4 > 1
        label = f"{' + '.join(pair)}, {load}{', migrated' * moves}"
        add(pair, label, run_alone, pair, load, moves)
    for number, knobs in enumerate(WALKERS):
        moves = number % 2 == 1
        label = f"walker {number}, workload{', migrated' * moves}"
        add((), label, run_alone, fh.Walker("walker", **knobs), "workload", moves)
    return found


def hash_of(fields: dict) -> str:
    """Hash of the fields, in the order of their names."""
    text = "\n".join(f"{name}={fields[name]}" for name in sorted(fields))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(path: Path, content: dict) -> None:
    """Write JSON, sorted, one entry on each line; the file is whole at any time."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    os.replace(unfinished, path)


def first_differences(before: dict, now: dict) -> str:
    """At most five fields that differ, each with both values."""
    names = [n for n in sorted(before | now) if before.get(n) != now.get(n)]
    shown = [f"  {n}: {before.get(n, 'absent')} -> {now.get(n, 'absent')}" for n in names[:5]]
    more = [f"  .. and {len(names) - 5} fields more"] if len(names) > 5 else []
    return "\n".join(shown + more)


def compare(values: dict, gone: dict, before: dict) -> int:
    """Print each label whose hash is not the stored one; 1 if there is any."""
    stored, wrong = json.loads(FILE.read_text()), 0
    for label in sorted(stored | values):
        if label in values and stored.get(label) == hash_of(values[label]):
            continue
        wrong += 1
        if label in gone:
            print(f"{label}: there is no policy {gone[label]!r}")
        elif label not in values or label not in stored:
            print(f"{label}: is {'not stored' if label in values else 'no longer drawn'}")
        else:
            print(f"{label}: differs")
            if label in before:
                print(first_differences(before[label], values[label]))
    print(f"{len(stored)} hashes stored, {wrong} labels differ in {Path(fh.__file__).parent}")
    return int(wrong > 0)


def main() -> int:
    """Run all, then compare or write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name} anew")
    parser.add_argument("--values", type=Path, metavar="FILE", help="store the summaries here")
    parser.add_argument("--against", type=Path, metavar="FILE", help="summaries to compare with")
    given = parser.parse_args()
    before = json.loads(given.against.read_text()) if given.against else {}
    values, gone = {}, {}
    for label, (needs, run) in runs().items():
        missing = [policy for policy in needs if policy not in fh.POLICIES]
        if missing:
            gone[label] = missing[0]
        else:
            values[label] = run()
    if given.values:
        write(given.values, values)
    if not given.write:
        return compare(values, gone, before)
    write(FILE, {label: hash_of(fields) for label, fields in values.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
