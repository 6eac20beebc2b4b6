"""The bench of knobs: knobs and scenarios, code, and sentences."""

import asyncio
import base64

import pytest

import freehint as fh
from freehint.config import InputError
from freehint.policies import POLICIES
from freehint.units import NS_PER_MS
from freehint.widgets import Lab, Player, scenario_code
from freehint.widgets.lab_knobs import FIELDS, GROUPS, Bench
from freehint.widgets.lab_table import difference_table
from freehint.widgets.later import Later
from lab import executed

SMALL = fh.Scenario(memory="64MiB", duration_ns=30 * NS_PER_MS)
PROGRAM = fh.Program(state="churn", dirty_MiB=8, rate_MiBps=70.5)


@pytest.mark.parametrize(
    "scenario",
    [
        fh.Scenario(),
        fh.Scenario(memory="256MiB", policy="page_reporting", seed=7),
        SMALL.with_values({"policy": "five_step", "policy.capacity": 8, "ring.size": 16}),
        SMALL.with_values({"workload": PROGRAM, "migration.generation": "G1"}),
        SMALL.with_values({"workload.nr_cpus": 2, "host.gap_ns": 0, "kernel": "6.12"}),
        SMALL.with_values({"policy": fh.Walker("mine", rotate="on_exit", resume="cursor")}),
        SMALL.with_values({"policy": "none", "control.every_ns": 7_000, "costs.lock_ns": 1}),
    ],
    ids=lambda scenario: scenario.policy_names,
)
def test_a_scenario_there_and_back(scenario):
    """As knobs, and as code, it is the same scenario."""
    bench = Bench(scenario)
    assert bench.scenario(bench.values()) == scenario
    assert executed("import freehint as fh\n" + scenario_code(scenario))["scenario"] == scenario


def test_code_says_only_what_differs():
    assert scenario_code(fh.Scenario()) == "scenario = fh.Scenario()"
    other = fh.Scenario(policy="hold_the_lock").with_values(
        {"ring.size": 64, "policy.min_order": 9}
    )
    assert scenario_code(other, "b") == (
        "b = fh.Scenario(policy='hold_the_lock', ring=fh.RingConfig(size=64))"
        ".with_values({'policy.min_order': 9})"
    )


def test_several_policies_as_code():
    both = fh.Scenario(policy=("page_reporting", fh.Walker("mine", min_order=3)))
    assert executed("import freehint as fh\n" + scenario_code(both))["scenario"] == both


def test_what_no_code_tells_is_named():
    with pytest.raises(InputError, match="memory: a Memory has no name"):
        scenario_code(fh.Scenario(memory=fh.make_memory("64MiB")))
    own = fh.Policy("own", fill=print, drain=print)
    with pytest.raises(InputError, match="'own' has verbs of its own"):
        scenario_code(fh.Scenario(policy=own))


@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({}, {"batch", "size", "rate", "bandwidth", "downtime", "dirty log"}),
        ({"migration.generation": "G1"}, {"batch", "size", "rate"}),
        ({"policy": "none"}, {"rotate", "batch", "full ring", "min_order"}),
        ({"policy": "balloon_alloc"}, {"rotate", "batch", "min_order"}),
        ({"policy": "five_step"}, {"rotate", "resume", "lock", "order"}),
        ({"policy": "restartable_cursor"}, {"size"}),
        ({"workload.state": "fork"}, {"every", "CPUs", "size", "rate"}),
        ({"workload": PROGRAM}, {"every", "CPUs"}),
    ],
)
def test_knobs_that_do_not_count_are_off(changes, off):
    bench = Bench(SMALL.with_values(changes))
    applies = bench.applies(bench.values())
    assert applies <= set(FIELDS) and not off & applies
    walks = {"rotate", "resume", "lock", "order"} <= applies
    assert walks == isinstance(bench.base.policy, fh.Walker)


def changed_by(label):
    """(is it another value?, is it another scenario?) of each position of a knob that counts."""
    migrating = {"policy": "rotate_on_exit", "migration.generation": "G1"}
    for base in (SMALL.with_values(migrating), SMALL.with_values({"workload": PROGRAM})):
        bench = Bench(base)
        values = bench.values()
        positions = next(group[label][1] for group in GROUPS.values() if label in group)
        for position in positions if label in bench.applies(values) else ():
            value = position[1] if isinstance(position, tuple) else position
            try:
                changed = bench.scenario(values | {label: value})
            except InputError:
                continue  # it contradicts the others
            yield value != values[label], changed != base


@pytest.mark.parametrize("label", FIELDS)
def test_another_value_of_a_knob_is_another_scenario(label):
    found = list(changed_by(label))
    assert any(value for value, _ in found)
    assert all(value == scenario for value, scenario in found)


def test_a_knob_changes_the_run_and_its_code_tells_how():
    bench = Lab(SMALL)
    before = bench.players["A"].payload
    bench.knobs["ring size"].value = 16
    bench.knobs["full ring"].value = "stop"
    assert bench.players["A"].payload != before
    assert bench.scenarios["A"] == SMALL.with_values({"ring.size": 16, "policy.on_full": "stop"})
    bench.compare.value = "A and B"
    bench.knobs["policy"].value = "rotate_on_exit"
    made = executed(bench.code)
    for side in ("A", "B"):
        summary = fh.simulate(made[side.lower()]).summary
        assert summary.equals(bench.runs[side].summary)
    assert bench.runs["A"].summary["policy"] == "v24"
    assert bench.runs["B"].summary["policy"] == "rotate_on_exit"


def test_a_policy_brings_its_own_knobs():
    bench = Lab(SMALL)
    bench.knobs["policy"].value = "hold_the_lock"
    assert (bench.knobs["lock"].value, bench.knobs["full ring"].value) == ("whole_walk", "wait")
    bench.knobs["policy"].value = "none"
    assert bench.knobs["lock"].disabled and not bench.knobs["ring size"].disabled


@pytest.fixture(scope="module")
def turned():
    """A bench that each test finds as the one before has left it."""
    return Lab(SMALL)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_can_be_chosen(policy, turned):
    bench = turned
    bench.knobs["policy"].value = policy
    assert bench.sentence == "" and bench.runs["A"].summary["policy"] == policy
    assert bench.scenarios["A"] == SMALL.with_values({"policy": policy})


def test_each_side_keeps_its_knobs():
    bench = Lab(SMALL, SMALL.with_values({"seed": 5, "host.gap_ns": 4_500_000}))
    assert bench.shown == ("A", "B") and bench.knobs["seed"].value == 1
    bench.edited.value = "B"
    assert (bench.knobs["seed"].value, bench.knobs["host away"].label) == (5, "4.5 ms")
    bench.knobs["seed"].value = 2
    bench.edited.value = "A"
    assert bench.knobs["seed"].value == 1
    assert [bench.scenarios[side].seed for side in "AB"] == [1, 2]
    bench.copy_a_to_b()
    assert bench.scenarios["B"] == SMALL


def test_a_contradiction_is_a_sentence_and_the_picture_stays():
    bench = Lab(SMALL)
    bench.knobs["policy"].value = "hold_the_lock"
    before, code = bench.players["A"].payload, bench.code
    bench.knobs["full ring"].value = "stop"
    assert "cannot go with policy.on_full" in bench.sentence
    assert (bench.players["A"].payload, bench.code) == (before, code)
    bench.knobs["full ring"].value = "wait"
    assert bench.sentence == ""
    with pytest.raises(InputError, match="be one policy on the bench"):
        Lab(fh.Scenario(policy=("v24", "page_reporting")))


def test_the_table_says_better_and_worse():
    runs = [fh.simulate(SMALL.with_values({"ring.size": size})) for size in (1024, 8)]
    html = difference_table({"A": runs[0], "B": runs[1]})
    lost = runs[1].summary["lost_pages"] / 256
    row = html.split("lost on a full ring")[1].split("</tr>")[0]
    assert f"+{lost:,.2f} MiB" in row and "▼ worse" in row
    back = difference_table({"A": runs[1], "B": runs[0]}).split("lost on a full ring")[1]
    assert "▲ better" in back.split("</tr>")[0]
    assert "better" not in difference_table({"A": runs[0]}) and "sent" not in html


def test_what_is_not_over_is_not_judged():
    """A migration that has sent less so far is no better."""
    moving = SMALL.with_values({"workload": fh.Program(), "policy": "none", "seed": 2})
    runs = {
        side: fh.simulate(
            moving.with_values({"migration.bandwidth_Bps": rate, "duration_ns": 300 * NS_PER_MS})
        )
        for side, rate in (("A", 200_000_000), ("B", 10_000_000))
    }
    assert [run.summary["migration"] for run in runs.values()] == ["completed", "active"]
    rows = difference_table(runs).split("<th scope='row'>")
    sent = next(row for row in rows if row.startswith("sent"))
    assert "MB" in sent and "better" not in sent and "worse" not in sent


def test_a_player_shows_another_run():
    player = Player(fh.record(SMALL, 50), moment=49)
    other = fh.record(SMALL.with_values({"policy": "none"}), 20)
    player.show(other)
    assert player.payload == other.to_bytes() and player.moment <= len(other) - 1


def test_the_bench_as_a_picture():
    bench = Lab(SMALL)
    one = base64.b64decode(bench._repr_mimebundle_()[0]["image/png"])
    bench.compare.value = "A and B"
    two = base64.b64decode(bench._repr_mimebundle_()[0]["image/png"])
    heights = [int.from_bytes(png[20:24]) for png in (one, two)]
    assert one.startswith(b"\x89PNG") and heights[1] > heights[0]


class FakeLoop:
    """A clock that is turned by hand."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def call_later(self, seconds, act):
        handle = asyncio.TimerHandle(self.now + seconds, act, (), self)
        self.calls.append(handle)
        return handle

    def _timer_handle_cancelled(self, handle):
        self.calls.remove(handle)

    def get_debug(self):
        return False

    def advance(self, seconds):
        self.now += seconds
        for handle in [h for h in self.calls if h.when() <= self.now]:
            self.calls.remove(handle)
            handle._run()


def test_only_the_newest_value_is_simulated():
    loop, seen, knob = FakeLoop(), [], {"value": 0}
    later = Later(lambda: seen.append(knob["value"]), 0.01, loop=lambda: loop)
    for value in range(1, 6):
        knob["value"] = value
        later.ask()
    assert seen == []
    loop.advance(0.02)
    assert seen == [5]
    for value in range(6, 9):  # a long drag is followed
        knob["value"] = value
        later.ask()
        loop.advance(0.011)
    assert seen == [5, 6, 7, 8]


def test_figures_wait_until_the_knobs_rest():
    loop, seen = FakeLoop(), []
    later = Later(lambda: seen.append(loop.now), 0.3, restarts=True, loop=lambda: loop)
    for _ in range(4):
        later.ask()
        loop.advance(0.2)
    assert seen == []
    loop.advance(0.2)
    assert len(seen) == 1
