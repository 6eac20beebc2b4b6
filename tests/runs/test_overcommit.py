"""Guests that share a host: with enough memory they run as alone; every page is counted."""

from collections import deque
from importlib import import_module

import numpy as np
import pytest

import freehint as fh
from freehint import figures
from freehint.engine.host.shared import HostMemory
from freehint.engine.world.paging import (
    FREE,
    RESIDENT,
    SWAP_FREE,
    SWAP_OUTS,
    map_resident,
    new_paging,
    page_in,
    shrink_list,
)
from freehint.mm.bitmap import clear_bit, set_bit
from freehint.mm.list import init_list_head
from freehint.runs.begin import guest_memory, new_engine
from freehint.units import NS_PER_MS

MODULE = import_module("freehint.runs.overcommit")
MS = NS_PER_MS
BURST = fh.Program(state="burst", dirty_MiB=24, rate_MiBps=2000.0, rest_ms=20)
CHURN = fh.Program(state="churn", fill_MiB=40, dirty_MiB=24, rate_MiBps=2000.0)
HINTS = {"control.every_ns": 10 * MS, "control.acknowledge_on_stop": True}
# Four blocks a report: with 32 so small a guest never has plenty of memory free.
REPORTS = {"policy.delay_ns": 5 * MS, "policy.capacity": 4}


def scenario(policy="none", workload=None, duration_ns=60 * MS, **more):
    values = {"host.discard": True, **{k.replace("__", "."): v for k, v in more.items()}}
    return fh.Scenario(
        memory="64MiB",
        policy=policy,
        workload=workload or fh.Workload(),
        duration_ns=duration_ns,
    ).with_values(values)


SCENARIOS = {
    "workload": scenario("v24"),
    "two users": scenario(("v24", "page_reporting")),
    "burst": scenario("page_reporting", BURST).with_values(REPORTS),
    "churn": scenario("balloon_alloc", CHURN).with_values(HINTS),
}


def saved(run, folder):
    """Every table's bytes."""
    return {path.name: path.read_bytes() for path in run.save(folder).iterdir()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_with_ample_memory_a_guest_is_what_it_is_alone(name, tmp_path):
    one = SCENARIOS[name]
    guests = [fh.Guest(one), fh.Guest(scenario(seed=2), start_ns=7 * MS), fh.Guest(one)]
    result = fh.overcommit(guests, fh.SharedHost(memory_MiB=1024, slice_ns=1_234_567))
    alone = saved(fh.simulate(one), tmp_path / "alone")
    for guest in ("guest 0", "guest 2"):
        assert saved(result.runs[guest], tmp_path / guest) == alone
    assert result.host_summary["swap_outs"] == 0
    assert result.summary["slowdown"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("seed", range(3))
def test_an_engine_advanced_in_any_steps_gives_one_result(seed):
    one = SCENARIOS["churn"]
    whole = fh.simulate(one)
    memory, _ = guest_memory(one)
    engine = new_engine(one, memory)
    for time_ns in np.sort(np.random.default_rng(seed).integers(0, one.duration_ns, 40)):
        engine.advance_to(int(time_ns))
    engine.advance_to(one.duration_ns)
    engine.finish()
    assert [row[0] for row in engine.history] == sorted(set(whole.history["time_s"]))
    assert (engine.world.memory.frame == whole.memory.frame).all()
    assert int(engine.world.host[0].faults) == whole.resident["faults"].iloc[-1]


def random_guests(seed):
    chance = np.random.default_rng(seed)
    guests = []
    for _ in range(chance.integers(2, 5)):
        policy, more = [("none", {}), ("page_reporting", REPORTS), ("balloon_alloc", HINTS)][
            chance.integers(3)
        ]
        workload = [BURST, CHURN, fh.Workload(interval_ns=2_000)][chance.integers(3)]
        one = scenario(policy, workload, seed=int(chance.integers(99))).with_values(more)
        guests.append(fh.Guest(one, start_ns=int(chance.integers(0, 20 * MS))))
    host = fh.SharedHost(
        memory_MiB=int(chance.integers(64, 100)),
        swap_MiB=int(chance.choice([0, 16, 1024])),
        swap_in_ns=int(chance.integers(1_000, 50_000)),
        slice_ns=int(chance.integers(MS // 10, 3 * MS)),
    )
    return guests, host


@pytest.mark.parametrize("seed", range(10))
def test_every_page_is_somewhere_after_every_slice(seed, monkeypatch):
    guests, host = random_guests(seed)
    seen = []

    class Checked(HostMemory):
        def kswapd(self, time_ns):
            super().kswapd(time_ns)
            self.check()
            assert self.count[FREE] >= 0 and self.count[SWAP_FREE] >= 0
            seen.append(time_ns)

    monkeypatch.setattr(MODULE, "HostMemory", Checked)
    result = fh.overcommit(guests, host)
    assert sum(seen) == max(g.start_ns + g.scenario.duration_ns for g in guests)
    rows = result.guests
    parts = rows[["resident_pages", "swapped_pages", "absent_pages"]]
    sizes = {name: run.memory.nr_pages for name, run in result.runs.items()}
    assert (parts.sum(axis=1) == rows["guest"].map(sizes)).all()
    assert (parts >= 0).all(axis=None)
    totals = result.host
    assert (totals["free_pages"] + totals["resident_pages"] == host.memory_MiB * 256).all()
    assert (totals["free_swap_pages"] + totals["swapped_pages"] == host.swap_MiB * 256).all()
    by_time = rows.groupby("time_s")["swapped_pages"].sum().to_numpy()
    late = totals[totals["time_s"].isin(rows["time_s"])]
    assert (by_time == late["swapped_pages"].to_numpy()).all()


def test_the_random_hosts_swap_and_run_out_of_memory():
    """Else the test above says little."""
    results = [fh.overcommit(*random_guests(seed)) for seed in range(10)]
    assert sum(r.host_summary["swap_ins"] > 0 for r in results) >= 2
    assert sum(r.host_summary["direct_pages"] > 0 for r in results) >= 2
    assert sum(r.host_summary["kills"] > 0 for r in results) >= 2


def crowded(policy="none", **host):
    more = {"page_reporting": REPORTS, "balloon_alloc": HINTS}.get(policy, {})
    one = scenario(policy, BURST, duration_ns=200 * MS).with_values(more)
    guests = [fh.Guest(one, start_ns=i * 11 * MS) for i in range(4)]
    return fh.overcommit(guests, fh.SharedHost(**{"memory_MiB": 80, "swap_in_ns": 20_000} | host))


def test_reports_and_hints_spare_swap_and_time():
    none, reports, hints = map(crowded, ("none", "page_reporting", "balloon_alloc"))
    for told in (reports, hints):
        assert told.host_summary["swap_ins"] < none.host_summary["swap_ins"] / 2
        assert told.summary["slowdown"].mean() < none.summary["slowdown"].mean()
        assert (told.summary["minor_faults"] > none.summary["minor_faults"]).all()


def test_dearer_swap_costs_the_guests_more():
    cheap, dear = (crowded(swap_in_ns=ns).summary for ns in (1_000, 200_000))
    assert dear["work"].sum() < cheap["work"].sum()
    assert (dear["swap_in_ns"] == dear["major_faults"] * 200_000).all()


def test_without_swap_the_largest_guest_is_killed_and_the_run_says_so():
    small = fh.Guest(scenario(workload=fh.Program()), "small")
    large = [fh.Guest(scenario(workload=BURST), f"large {i}", i * 5 * MS) for i in range(3)]
    result = fh.overcommit([small, *large], fh.SharedHost(memory_MiB=80, swap_MiB=0))
    assert len(result.kills) > 0 and "small" not in set(result.kills["guest"])
    assert "Out of memory" in result._repr_html_()
    assert result.host_summary["kills"] == len(result.kills)
    killed = result.summary.set_index("guest")["killed_s"].dropna()
    assert killed.to_dict() == result.kills.set_index("guest")["time_s"].to_dict()
    last = result.guests.groupby("guest").last().loc[list(killed.index)]
    assert (last[["resident_pages", "swapped_pages"]] == 0).all(axis=None)


class PlainHost:
    """Second chance in plain Python: a queue, a set of touched pages."""

    def __init__(self, slots):
        self.queue, self.touched, self.slots, self.out = deque(), set(), slots, []

    def shrink(self, nr_to_scan, nr_to_reclaim):
        got = 0
        for _ in range(nr_to_scan):
            if not self.queue or got == nr_to_reclaim or not self.slots:
                break
            page = self.queue.popleft()
            if page in self.touched:
                self.touched.remove(page)
                self.queue.append(page)
            else:
                self.out.append(page)
                self.slots -= 1
                got += 1
        return got


@pytest.mark.parametrize("seed", range(20))
def test_second_chance_is_a_queue(seed):
    chance = np.random.default_rng(seed)
    host = np.array([1000, 0, 150, 0])
    paging, present = new_paging(256, host), np.zeros(4, np.uint64)
    plain = PlainHost(150)
    for page in map(int, chance.integers(0, 256, 600)):
        if page in plain.out:
            plain.out.remove(page)
            plain.slots += 1
        if page not in plain.queue:
            set_bit(present, page)
            page_in(paging, page)
            plain.queue.append(page)
        set_bit(paging.accessed, page)
        plain.touched.add(page)
        if chance.random() < 0.1:
            scan, want = int(chance.integers(1, 300)), int(chance.integers(1, 40))
            assert shrink_list(paging, present, scan, want) == plain.shrink(scan, want)
    swapped = np.unpackbits(paging.swapped.view(np.uint8), bitorder="little")
    assert np.flatnonzero(swapped).tolist() == sorted(plain.out)
    assert host[FREE] == 1000 - len(plain.queue) and host[SWAP_FREE] == plain.slots
    assert paging.count[SWAP_OUTS] > 0


DAMAGE = {
    "resident pages": lambda paging, present: set_bit(present, 5),
    "swapped pages": lambda paging, present: set_bit(paging.swapped, 9),
    "pages resident and in swap": lambda paging, present: (
        set_bit(paging.swapped, 1),
        paging.count.__setitem__(1, 1),
    ),
    "LRU list": lambda paging, present: init_list_head(paging.links, 256),
    "free and resident pages": lambda paging, present: paging.host.__setitem__(FREE, 7),
    "used swap slots": lambda paging, present: paging.host.__setitem__(SWAP_FREE, 7),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_the_check_names_what_does_not_add_up(what):
    shared = HostMemory(fh.SharedHost())
    paging, present = new_paging(256, shared.count), np.zeros(4, np.uint64)
    map_resident(paging, present, np.array([7, 0, 0, 0], np.uint64), 0, 256)

    class World:
        pass

    class Engine:
        world = World()

    Engine.world.paging, Engine.world.present = paging, present
    shared.engines[0] = Engine
    shared.check()
    DAMAGE[what](paging, present)
    with pytest.raises(fh.InvariantError, match=what):
        shared.check()
    clear_bit(present, 5)
    assert paging.count[RESIDENT] == 3


def test_done_follows_when_the_host_has_used_every_hint():
    """A slow host: DONE as soon as the walk ends would free blocks whose hints are on the ring."""
    slow = {"control.acknowledge_on_stop": True, "host.service_ns": 500_000, "host.gap_ns": 0}
    one = scenario("balloon_alloc", fh.Program(fill_MiB=40, state="freed"), walk_at_ns=0)
    held, told = (
        fh.simulate(one.with_values({"host.gap_ns": 0})),
        fh.simulate(one.with_values(slow)),
    )
    assert held.summary["hinted_pages"] == told.summary["hinted_pages"] > 0
    free = [run.history.groupby("time_s")["free_pages"].sum().iloc[-1] for run in (held, told)]
    assert free[1] - free[0] == told.summary["hinted_pages"]
    after = told.history.groupby("time_s")["free_pages"].sum()
    back_s = after.index[after >= free[1]]
    back_s = back_s[back_s > 0.001].min()
    used_ns = told.summary["hinted_pages"] // 1024 * 500_000
    assert back_s * 1e9 >= used_ns


def test_a_burst_comes_leaves_and_rests():
    run = fh.simulate(scenario(workload=BURST, duration_ns=100 * MS))
    free = run.history.groupby("time_s")["free_pages"].sum()
    times = free.index.to_numpy()
    # 24 MiB at 2000 MiB/s take 12 ms, page faults up to 12 ms more; then 20 ms of rest.
    assert free.max() - free.min() >= 24 * 256
    low = times[free < free.max() - 12 * 256]
    assert len(low) and (np.diff(low) > 0.015).sum() >= 1
    assert run.summary["writes"] >= 2 * 24 * 256


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fh.overcommit([]), "guests must be a list of at least one Guest or Scenario"),
        (lambda: fh.overcommit([3]), "guest.scenario must be a Scenario, got 3"),
        (lambda: fh.Guest(fh.Scenario()), "guest.scenario.host.discard must be true"),
        (lambda: fh.Guest(scenario(), start_ns=-1), "guest.start_ns must be a whole number"),
        (
            lambda: fh.Guest(scenario(migration=fh.MigrationConfig())),
            "guest.scenario.migration must be None",
        ),
        (
            lambda: fh.overcommit([fh.Guest(scenario(), "A"), fh.Guest(scenario(), "A")]),
            "guests must each have a name of its own",
        ),
        (lambda: fh.overcommit([scenario()], host=3), "host must be a SharedHost, got 3"),
        (
            lambda: fh.SharedHost(memory_MiB=8),
            "host.memory_MiB must be a whole number in 64..8388608, got 8",
        ),
        (
            lambda: fh.SharedHost(swap_MiB=-1),
            "host.swap_MiB must be a whole number in 0..8388608, got -1",
        ),
        (
            lambda: fh.SharedHost(slice_ns=0),
            "host.slice_ns must be a whole number in 1..100000000000, got 0",
        ),
        (lambda: fh.Program(state="burst"), "workload.rate_MiBps must be above 0 for 'burst'"),
        (
            lambda: fh.Control(acknowledge_on_stop=1),
            "control.acknowledge_on_stop must be true or false, got 1",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        call()


def test_pictures_show_the_tables_numbers():
    result = crowded()
    ax = figures.guests_resident(result.guests, host_mib=80)
    tops = [float(c.get_paths()[0].vertices[:, 1].max()) for c in ax.collections]
    lows = [float(c.get_paths()[0].vertices[:, 1].min()) for c in ax.collections]
    # The guests that began later are not there in the first rows, and count as nothing then.
    by_time = result.guests.groupby("time_s")[["resident_pages", "swapped_pages"]].sum() / 256
    assert max(tops) == pytest.approx(by_time["resident_pages"].max())
    assert -min(lows) == pytest.approx(by_time["swapped_pages"].max())
    lines = figures.swap_traffic({"none": result.host}).lines
    assert lines[0].get_ydata()[-1] == pytest.approx(result.host_summary["swap_outs"] / 256)
    assert lines[1].get_ydata()[-1] == pytest.approx(result.host_summary["swap_ins"] / 256)
    bars = figures.time_lost({"none": result.summary}).patches
    lost = result.summary[["swap_in_ns", "reclaim_ns", "minor_fault_ns"]].sum() / 1e9
    assert [bar.get_width() for bar in bars] == pytest.approx(lost.tolist())
    table = result.summary.assign(guests=4)
    (line, *_) = figures.slowdown_by_guests(table).lines
    assert line.get_xydata().tolist() == [[4, pytest.approx(table["slowdown"].mean())]]
