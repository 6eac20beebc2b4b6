"""Every figure of the package, drawn from small real tables: name -> function that draws it."""

import gzip
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import freehint as fh
from compile_runs import END_NS, sweep_of_summaries
from freehint import figures
from freehint.figures.compile import compile_figure
from freehint.replay.pressure.compare import Predicted, compare
from freehint.replay.pressure.measured import Measured
from freehint.replay.validate import validate_migration
from freehint.safety.exhaust.matrix import explored
from freehint.studies import parking, speed
from freehint.studies.blocks import block_story
from freehint.studies.chart.chart import evidence
from freehint.studies.compile import told
from freehint.studies.costs import zeroing
from freehint.studies.costs.tornado import tornado
from freehint.studies.migrations import after_the_migration, recorded_resident, savings
from freehint.studies.pressure.compacting import compacting
from freehint.studies.pressure.inflating import full_guest
from freehint.studies.real_walks import blocks_in_holds
from freehint.studies.tables import holds_of_lists, reuse_by_position
from freehint.studies.thread import thread_story
from freehint.studies.verify.verify import verified
from freehint.units import NS_PER_MS

POLICIES = ("none", "v24", "balloon_alloc", "page_reporting", "five_step")
MOVING = fh.Scenario(
    memory="64MiB",
    workload=fh.Program(state="freed", fill_MiB=24),
    migration=fh.MigrationConfig(start_at_ns=100 * NS_PER_MS, bandwidth_Bps=1 << 26),
    duration_ns=2_000 * NS_PER_MS,
)
IN_PIECES = fh.Scenario(
    memory="64MiB",
    policy="v24",
    workload=fh.Program(state="frag", frag_MiB=16),
    host=fh.HostConfig(discard=True),
    duration_ns=100 * NS_PER_MS,
)
QUICK = ["hold the lock: bytes", "five steps", "full ring"]  # disputes that take a second
FACTORS = ("policy.rotate", "policy.resume", "ring.size")


@cache
def runs() -> dict:
    """One run for each policy, on a recorded guest of 4 GiB."""
    scenario = fh.Scenario(duration_ns=100 * NS_PER_MS)
    return {name: fh.simulate(scenario.with_values({"policy": name})) for name in POLICIES}


@cache
def walked():
    return runs()["v24"]


@cache
def moved() -> list:
    return [fh.simulate(MOVING.with_values({"policy": name})) for name in POLICIES[:3]]


@cache
def history() -> pd.DataFrame:
    return fh.replay_history(fh.data("linux-6.1/traces") / "frag")


@cache
def sawtooth():
    """A made-up recording under pressure that ends in an OOM, and a prediction that is late."""
    start = fh.make_memory("64MiB")
    time_s = np.linspace(0, 2, 401)
    band = start.zones["watermark"].sum(axis=0)
    falls = np.maximum(12_000 * (1 - 2 * time_s), band[1] + (time_s * 10 % 1) * (band[2] - band[1]))
    runs = pd.DataFrame({"begin_s": np.arange(0.5, 1.8, 0.1), "end_s": np.arange(0.52, 1.82, 0.1)})
    measured = Measured(
        stem=Path("sawtooth"),
        start=start,
        info={},
        time_s=time_s,
        free=falls.astype(int)[:, None],
        steps=pd.DataFrame([(1, "fill 60", 0.0, 1.9)], columns=["step", "job", "begin_s", "end_s"]),
        counts={"pageoutrun": len(runs), "oom_kill": 1},
        before={},
        oom_s=(1.8,),
        oom_pages=(15_000,),
        kswapd=runs.assign(reclaimed=10),
        misses=0,
    )
    said = Predicted(time_s * 1.1, falls.astype(int), dict(measured.counts), (1.9,))
    return compare(measured, said)


@cache
def crossed() -> pd.DataFrame:
    levels = (("never", "on_exit"), ("restart", "cursor"), (64, 256))
    grid = dict(zip(FACTORS, levels, strict=True))
    small = fh.Scenario(memory="64MiB", policy="v24", duration_ns=30 * NS_PER_MS)
    return fh.sweep(small, grid, seeds=(1, 2))


@cache
def saved() -> pd.DataFrame:
    knob = "migration.bandwidth_Bps"
    grid = {"policy": POLICIES[:3], knob: (1 << 26, 1 << 27)}
    return savings(fh.sweep(MOVING, grid, seeds=(1,)), knob, ["64 MiB/s", "128 MiB/s"])


@cache
def afterwards() -> pd.DataFrame:
    each = (
        MOVING.with_values({"policy": name, "seed": seed})
        for name in POLICIES[:3]
        for seed in (1, 2)
    )
    return pd.DataFrame([after_the_migration(one, 5 * NS_PER_MS) for one in each])


@cache
def crowded():
    burst = fh.Program(state="burst", dirty_MiB=24, rate_MiBps=2_000.0, rest_ms=20)
    one = fh.Scenario(memory="64MiB", workload=burst, policy="none", duration_ns=200 * NS_PER_MS)
    one = one.with_values({"host.discard": True})
    guests = [fh.Guest(one, start_ns=i * 11 * NS_PER_MS) for i in range(4)]
    return fh.overcommit(guests, fh.SharedHost(memory_MiB=80, swap_in_ns=20_000))


@cache
def recorded() -> tuple:
    """Resident memory of a recorded guest, and of a run."""
    with gzip.open(fh.data("linux-6.1/reporting/fpr_fill.info.json.gz")) as file:
        resident = recorded_resident(json.load(file))
    scenario = fh.Scenario(
        memory=fh.data("linux-6.1/reporting/fpr_fill.T0"),
        policy="page_reporting",
        workload=fh.Program(state="freed", fill_MiB=640),
        host=fh.HostConfig(discard=True, gap_ns=0),
        duration_ns=8_000 * NS_PER_MS,
    )
    return resident, fh.simulate(scenario).resident


@cache
def predicted() -> pd.DataFrame:
    """Some of the recorded migrations, measured and predicted."""
    with TemporaryDirectory() as folder:
        rows = pd.read_csv(fh.data("linux-6.1/migration/migrations.csv"), dtype=str)
        rows.iloc[::8].to_csv(Path(folder) / "migrations.csv", index=False)
        return validate_migration(folder)[0]


@cache
def parked() -> dict:
    """Runs of a small guest in pieces that is parked, by the size of the chunks."""
    park = fh.ParkConfig(at_ns=50 * NS_PER_MS)
    each = (IN_PIECES.with_values({"park": park, "park.chunk_KiB": size}) for size in (4, 2048))
    return {f"{one.park.chunk_KiB} KiB": fh.simulate(one) for one in each}


def reach_table() -> pd.DataFrame:
    table = crossed()
    table = table.assign(reach=table["coverage"], rotate=table["policy.rotate"])
    return table[table["status"] == "done"]


def share_table() -> pd.DataFrame:
    done = crossed().assign(lost=lambda t: t["lost_pages"] / t["offered_pages"])
    return done.pivot_table(index="policy.rotate", columns="ring.size", values="lost").astype(float)


@cache
def reuse_table() -> pd.DataFrame:
    ways = {"ways": ("predicted exactly",), "reuse": "left_lists"}
    return fh.counterfactual("linux-6.1/walkers/s6_rot", fh.CallWalker("as v24"), **ways)


def recorded_holds(name: str) -> pd.Series:
    trace = pd.read_parquet(f"{fh.data(f'linux-6.1/walkers/{name}')}.trace.parquet")
    return blocks_in_holds(trace[trace["event"].astype(str).str.startswith("w_")])


DRAWN = {
    "reuse_by_volume": lambda: figures.reuse_by_volume(reuse_table()),
    "blocks_in_a_hold": lambda: figures.blocks_in_a_hold(
        {name: recorded_holds(name) for name in ("a_scan", "c_hold2", "c_fivekeep0")}
    ),
    "verdict_intervals": lambda: figures.verdict_intervals(fh.verdicts([1, 2, 3], QUICK)),
    "published_beside": lambda: figures.published_beside(verified()),
    "tornado": lambda: figures.tornado(tornado()),
    "verdicts_under_costs": lambda: figures.verdicts_under_costs(tornado()),
    "decision_chart": lambda: figures.decision_chart(evidence()),
    "stranded_by_cause": lambda: figures.stranded_by_cause(
        parking.by_cause(parked()).assign(published_MiB=[12.0, 18.0])
    ),
    "resident_lines": lambda: figures.resident_lines(
        {name: run.resident for name, run in parked().items()}
    ),
    "time_to_resume": lambda: figures.time_to_resume(parking.last_parks(parked())),
    "given_back": lambda: figures.given_back(parking.given_back(IN_PIECES)),
    "zeroed_shares": lambda: figures.zeroed_shares(
        zeroing.told(zeroing.churning([1, 2], dict(list(zeroing.ways().items())[-8:]), 128))
    ),
    "explored_cells": lambda: figures.explored_cells(explored()),
    "story": lambda: figures.story(thread_story("on_exit", "cursor", consumed="A and C")),
    "free_by_order": lambda: figures.free_by_order(walked().memory),
    "two_memories": lambda: figures.two_memories(walked().memory, runs()["five_step"].memory),
    "lock_timeline": lambda: figures.lock_timeline(walked().locks, walked().waits),
    "walk_map": lambda: figures.walk_map(walked().reports),
    "hint_balance": lambda: figures.hint_balance(fh.summaries(runs().values())),
    "compare_policies": lambda: figures.compare_policies(fh.summaries(runs().values())),
    "free_over_time": lambda: figures.free_over_time(history()),
    "pcp_over_time": lambda: figures.pcp_over_time(
        {name: run.history for name, run in runs().items()}
    ),
    "fragmentation_over_time": lambda: figures.fragmentation_over_time(history()),
    "main_effects": lambda: figures.main_effects(crossed(), FACTORS),
    "interactions": lambda: figures.interactions(crossed(), FACTORS),
    "block_lists": lambda: figures.block_lists(block_story(allocations=11, frees=1)),
    "reused_shares": lambda: figures.reused_shares(
        reuse_by_position(
            fh.load_snapshot(fh.data("linux-6.1/snapshots/snap4g.T0")), walked().memory
        )
    ),
    "hints_over_time": lambda: figures.hints_over_time(walked().reports),
    "told_over_time": lambda: figures.told_over_time(
        {name: run.reports for name, run in runs().items() if len(run.reports)}
    ),
    "holds_by_order": lambda: figures.holds_by_order(holds_of_lists(walked())),
    "survival_by_reach": lambda: figures.survival_by_reach(reach_table()),
    "longer_than": lambda: figures.longer_than(
        {"a stroke held the lock": walked().locks["held_ns"], "waited": walked().waits["wait_ns"]}
    ),
    "share_map": lambda: figures.share_map(share_table(), label="lost"),
    "blocks_by_order": lambda: figures.blocks_by_order(walked().reports),
    "free_lines": lambda: figures.free_lines({name: run.history for name, run in runs().items()}),
    "resident_over_time": lambda: figures.resident_over_time(
        pd.read_csv(fh.data("linux-6.1/reporting/fpr.rss.csv"))
    ),
    "free_under_pressure": lambda: figures.free_under_pressure(sawtooth()),
    "memory_that_can_leave": lambda: figures.memory_that_can_leave(
        compacting([1, 2], orders=(0, 9), pieces=(1, 1024))
    ),
    "balloon_course": lambda: figures.balloon_course(
        {kind: fh.simulate(full_guest(kind, 1, 1)[0]).balloon for kind in ("cache", "anonymous")}
    ),
    "pages_by_fate": lambda: figures.pages_by_fate(
        fh.summaries(moved()).set_index("policy", drop=False)
    ),
    "dirty_at_each_sync": lambda: figures.dirty_at_each_sync(
        {run.summary["policy"]: run.rounds for run in moved()}
    ),
    "rounds_side_by_side": lambda: figures.rounds_side_by_side(moved()),
    "rounds_over_time": lambda: figures.rounds_over_time(moved()),
    "sent_by_round": lambda: figures.sent_by_round(moved()),
    "effect": lambda: figures.effect(saved()),
    "effects": lambda: figures.effects(
        {"bandwidth": (saved(), "saved_bytes"), "the same (s)": (saved(), "saved_s")}
    ),
    "per_policy": lambda: figures.per_policy(
        afterwards().assign(ms=afterwards()["total_ns"] / 1e6), "ms", label="migration time (ms)"
    ),
    "predicted_beside_measured": lambda: figures.predicted_beside_measured(
        predicted(),
        "transferred_B",
        unit=1e6,
        label="bytes (MB)",
    ),
    "resident_beside": lambda: figures.resident_beside(*recorded()),
    "guests_resident": lambda: figures.guests_resident(crowded().guests, host_mib=80),
    "residents": lambda: figures.residents({"none": crowded(), "the same": crowded()}, host_mib=80),
    "swap_traffic": lambda: figures.swap_traffic({"none": crowded().host}),
    "time_lost": lambda: figures.time_lost({"none": crowded().summary}),
    "slowdown_by_guests": lambda: figures.slowdown_by_guests(
        pd.concat([crowded().summary.assign(guests=n, policy="none") for n in (3, 4)])
    ),
    "beside_others": lambda: figures.beside_others(speed.measured("bench")[0]),
    "cost_growth": lambda: figures.cost_growth(
        speed.measured("growth")[0].query("along == 'guest size'")
    ),
    "load_by_working_set": lambda: figures.load_by_working_set(
        speed.loads([16, 64, 256]), marks={"a block of a walk": 30.0}
    ),
    "compile_figure": lambda: compile_figure(told(sweep_of_summaries(), END_NS)),
}
