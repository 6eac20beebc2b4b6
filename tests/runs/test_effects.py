"""Every parameter of a scenario has an effect somewhere, and its bounds hold on both sides.

A value without any effect would be worse than a refusal: nobody would notice it.
"""

from functools import cache

import pytest

import freehint as fh
from freehint.inputs.rules import MOST_COST_NS, OneOf, PowerOfTwo, Real, Whole, rules_of
from freehint.units import NS_PER_MS

PARTS = {
    "costs": fh.Costs,
    "ring": fh.RingConfig,
    "host": fh.HostConfig,
    "control": fh.Control,
    "migration": fh.MigrationConfig,
    "park": fh.ParkConfig,
    "workload": fh.Workload,
    "program": fh.Program,
}


def scenario(policy="v24", memory="64MiB", ms=30, **more):
    walk_at_ns = 0 if "migration" in more else 5 * NS_PER_MS
    return fh.Scenario(memory, None, policy, duration_ns=ms * NS_PER_MS, **more).with_values(
        {"walk_at_ns": walk_at_ns}
    )


def program(state, **fields):
    return scenario(ms=150, workload=fh.Program(state, **fields))


CHURN = fh.Program("churn", dirty_MiB=24, rate_MiBps=300.0, fill_MiB=40)
KINDS = {
    "walk": scenario(),
    "cursor": scenario("restartable_cursor"),
    "five_step": scenario("five_step"),
    "squeezed": scenario("none").with_values(
        {"control.at": "0 balloon 50", "workload.live_share": 0.9}
    ),
    "balloon": scenario("balloon_alloc"),
    "reporting": scenario("page_reporting").with_values(
        {"policy.delay_ns": 2 * NS_PER_MS, "host.discard": True}
    ),
    "slow": scenario(
        memory="128MiB",
        ms=600,
        workload=CHURN,
        migration=fh.MigrationConfig(5 * NS_PER_MS, 100 << 20, 100),
    ),
    "fast": scenario(
        memory="128MiB",
        ms=100,
        workload=CHURN,
        migration=fh.MigrationConfig(5 * NS_PER_MS, 10 << 30, 10, chunk_shift=6),
    ),
    "parked": scenario(
        ms=60,
        park=fh.ParkConfig(10 * NS_PER_MS, every_ns=20 * NS_PER_MS, record_ns=NS_PER_MS),
    ).with_values({"host.discard": True, "host.service_ns": 400_000, "host.gap_ns": 0}),
    "prefetched": scenario(
        ms=60,
        park=fh.ParkConfig(10 * NS_PER_MS, every_ns=20 * NS_PER_MS, restore="prefetch"),
    ),
    "huge": scenario().with_values({"host.discard": True, "host.pages": "thp"}),
    "churn": program("churn", dirty_MiB=8, rate_MiBps=200.0, fill_MiB=8),
    "dirty": program("dirty", dirty_MiB=8, rate_MiBps=200.0),
    "frag": program("frag", frag_MiB=16),
    "fork": program("fork"),
    "cache": program("cache", cache_MiB=8, rate_MiBps=100.0),
    "pressed": scenario(
        "none",
        ms=6_000,
        workload=fh.UnderPressure(
            jobs="fill 20; read a; read a; dirty 50 200 1; fill 70; compact_memory; fill 60",
            files="a=30",
            swap_MiB=40,
            course_ns=50 * NS_PER_MS,
        ),
    ),
    "build": program("build", dirty_MiB=2, rate_MiBps=400.0, huge_pages=False),
    "burst": program("burst", dirty_MiB=4, rate_MiBps=400.0, rest_ms=10),
}
# A parameter, the kind of scenario in which it counts, and another value.
COUNTS = [
    ("costs.walk_block_ns", "walk", 1_500),
    ("costs.report_ns", "walk", 2_000),
    ("costs.rotate_ns", "five_step", 500),
    ("costs.lock_ns", "walk", 1_000),
    ("costs.notify_ns", "walk", 20_000),
    ("costs.pcp_ns", "walk", 500),
    ("costs.buddy_ns", "walk", 1_000),
    ("costs.migrate_page_ns", "reporting", 20_000),
    ("costs.fault_ns", "reporting", 20_000),
    ("costs.huge_fault_ns", "huge", 2_000_000),
    ("costs.write_ns", "balloon", 4_000),
    ("costs.scan_page_ns", "pressed", 20_000),
    ("costs.deactivate_page_ns", "pressed", 50_000),
    ("costs.reclaim_page_ns", "pressed", 50_000),
    ("costs.swap_out_ns", "pressed", 50_000),
    ("costs.throttle_ns", "pressed", 20_000_000),
    ("costs.compact_scan_ns", "pressed", 10_000),
    ("ring.size", "cursor", 8),
    ("host.service_ns", "walk", 10_000),
    ("host.kick_ns", "walk", 200_000),
    ("host.gap_ns", "reporting", 300_000),
    ("host.gap_every_ns", "walk", 1_000_000),
    ("host.gaps", "reporting", "fixed"),
    ("host.discard", "walk", True),
    ("host.backend", "reporting", "nothing"),
    ("host.pages", "reporting", "thp"),
    ("control.every_ns", "walk", 7 * NS_PER_MS),
    ("control.stop_at_ns", "reporting", 7 * NS_PER_MS),
    ("control.done_at_ns", "balloon", 7 * NS_PER_MS),
    ("control.off_at_ns", "walk", NS_PER_MS),
    ("control.on_at_ns", "reporting", 7 * NS_PER_MS),
    ("control.acknowledge_on_stop", "balloon", True),
    ("control.at", "squeezed", "0 balloon 8"),
    ("control.deflate_on_oom", "squeezed", True),
    ("migration.start_at_ns", "fast", 0),
    ("migration.bandwidth_Bps", "slow", 50 << 20),
    ("migration.downtime_limit_ms", "slow", 700),
    ("migration.generation", "fast", "G1"),
    ("migration.chunk_shift", "slow", 6),
    ("migration.initially_set", "fast", True),
    ("migration.zero_page_ns", "fast", 5_000),
    ("migration.normal_page_ns", "fast", 30_000),
    ("migration.hint_latency_ns", "fast", 100_000),
    ("migration.cancel_at_ns", "fast", 7 * NS_PER_MS),
    ("park.at_ns", "parked", 5 * NS_PER_MS),
    ("park.every_ns", "parked", 0),
    ("park.drain_ns", "parked", 5 * NS_PER_MS),
    ("park.late_hints", "parked", "drop"),
    ("park.chunk_KiB", "parked", 2048),
    ("park.elide", "parked", "nothing"),
    ("park.write_Bps", "parked", 1 << 30),
    ("park.read_Bps", "parked", 1 << 28),
    ("park.parked_ns", "parked", 5 * NS_PER_MS),
    ("park.restore", "parked", "eager"),
    ("park.record_ns", "prefetched", NS_PER_MS),
    ("park.load_ns", "parked", 200_000),
    ("workload.nr_cpus", "walk", 2),
    ("workload.interval_ns", "walk", 50_000),
    ("workload.live_share", "walk", 0.1),
    ("workload.growth", "walk", 0.3),
    ("workload.write_share", "walk", 0.9),
    ("workload.order_weights", "walk", (1,)),
    ("workload.type_weights", "walk", (1,)),
    ("program.state", "churn", "dirty"),
    ("program.fill_MiB", "churn", 16),
    ("program.dirty_MiB", "burst", 8),
    ("program.rate_MiBps", "churn", 100.0),
    ("program.frag_MiB", "frag", 24),
    ("program.frag_percent", "frag", 20),
    ("program.frag_chunk", "frag", 8),
    ("program.cache_MiB", "cache", 16),
    ("program.forks_per_s", "fork", 200.0),
    ("program.life_ms", "fork", 5),
    ("program.rest_ms", "burst", 60),
    ("program.processes", "build", 2),
    ("program.units", "build", 3),
    ("program.output_KiB", "build", 64),
    ("program.huge_pages", "churn", False),
    ("program.init_on_free", "fast", True),
    ("program.footprint_pages", "fast", 15_000),
    ("program.background_pages", "slow", 1_000),
]


@cache
def told(case: fh.Scenario) -> tuple:
    """All that a run tells, but for what only repeats the scenario."""
    run = fh.simulate(case)
    tables = (run.reports, run.locks, run.waits, run.history, run.rounds, run.resident, run.work)
    tables += (run.reclaim, run.jobs, run.parks, run.stranded)
    return tuple(run.summary.items()), *(table.to_csv() for table in tables)


def changed(name: str, kind: str, value) -> fh.Scenario:
    return KINDS[kind].with_values({name.replace("program.", "workload."): value})


@pytest.mark.parametrize(("name", "kind", "value"), COUNTS, ids=[case[0] for case in COUNTS])
def test_a_parameter_counts(name, kind, value):
    assert told(changed(name, kind, value)) != told(KINDS[kind])


FIELDS = [f"{part}.{name}" for part, kind in PARTS.items() for name in rules_of(kind)]


def test_no_parameter_is_left_out():
    assert [name for name, _, _ in COUNTS] == FIELDS


def outside(rule) -> list:
    """Values next to the bounds, and of other kinds."""
    if isinstance(rule, Whole | PowerOfTwo):
        return [rule.low - 1, rule.high + 1, 1 << 62, 10**5000, 0.5, True, None, "1"]
    if isinstance(rule, Real):
        beside = [rule.low - 1, rule.high + 1, float("inf"), float("nan")]
        return [*beside, 10**5000, True, None, "1"]
    if isinstance(rule, OneOf):
        return ["", "other", None, 1, []]
    return ["", 1, 0.5, None, (float("inf"),), (float("nan"),), (10**400,), (0, 0), ()]


@pytest.mark.parametrize("name", FIELDS)
def test_values_outside_are_refused_in_one_sentence(name):
    part, _, field = name.partition(".")
    where = name.replace("program.", "workload.")
    for value in outside(rules_of(PARTS[part])[field]):
        with pytest.raises(fh.InputError, match=rf"^{where} must .*, got ") as refused:
            PARTS[part](**{field: value})
        message = str(refused.value)
        assert len(message.splitlines()) == 1 and len(message) < 500


@pytest.mark.parametrize("name", [name for name in FIELDS if name.startswith("costs.")])
@pytest.mark.parametrize("kind", ["walk", "reporting", "balloon"])
def test_no_time_wraps_at_the_largest_cost(name, kind):
    run = fh.simulate(changed(name, kind, MOST_COST_NS))
    for table in (run.waits, run.locks, run.walks):
        for column in table.columns[[c.endswith("_ns") for c in table.columns]]:
            low = -1 if column == "end_ns" else 0
            assert table[column].ge(low).all(), column
    summary = {k: v for k, v in run.summary.items() if k.endswith("_ns")}
    assert min(summary.values()) >= -1


def test_more_walks_than_can_be_simulated_are_refused():
    with pytest.raises(fh.InputError, match=r"ask for at most 100000 walks .*, got 8"):
        scenario().with_values({"control.every_ns": 8})


CALL = {"rotate": "on_exit", "resume": "scan_for_first", "capacity": 4}
CALLS = {
    "walker": fh.CallWalker("w", pause_ns=NS_PER_MS, **CALL),
    "restarts": fh.CallWalker("w", pause_ns=NS_PER_MS, **CALL | {"resume": "restart"}),
    "holds": fh.CallWalker("w", pause_ns=NS_PER_MS, on_full="wait", **CALL),
    "five_step": fh.CallFiveStep(pause_ns=NS_PER_MS, capacity=4),
}
# A knob of a policy that works in calls, the policy in which it counts, and another value.
# ``lap`` counts only where A has left its list: see test_counterfactual.py and test_call_walker.py.
KNOBS = [
    ("rotate", "restarts", "never"),
    ("resume", "walker", "restart"),
    ("lock", "holds", "whole_call"),
    ("order", "walker", "low_first"),
    ("min_order", "walker", 3),
    ("capacity", "walker", 6),
    ("span", "walker", False),
    ("strokes", "walker", 2),
    ("strokes", "restarts", 3),
    ("pause_ns", "walker", 2 * NS_PER_MS),
    ("order", "five_step", "low_first"),
    ("capacity", "five_step", 6),
    ("keep", "five_step", False),
    ("span", "five_step", False),
    ("strokes", "five_step", 2),
    ("pause_ns", "five_step", 2 * NS_PER_MS),
]


@pytest.mark.parametrize(("knob", "kind", "value"), KNOBS, ids=[f"{k[1]}-{k[0]}" for k in KNOBS])
def test_a_knob_of_a_call_counts(knob, kind, value):
    case = scenario(CALLS[kind], ms=100, workload=CHURN)
    assert told(case.with_values({f"policy.{knob}": value})) != told(case)


@pytest.mark.parametrize("policy", [fh.CallWalker, fh.CallFiveStep])
def test_calls_that_cannot_be_counted_are_refused(policy):
    for strokes in (-1, 10**9 + 1, 0.5, True, None):
        with pytest.raises(fh.InputError, match=r"^policy.strokes must .*, got "):
            policy("w", strokes=strokes)
