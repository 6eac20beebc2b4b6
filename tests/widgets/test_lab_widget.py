"""The bench of knobs: knobs and scenarios, code, and sentences."""

import asyncio
import base64
import html
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import freehint as fh
from freehint.config import InputError
from freehint.policies import POLICIES
from freehint.runs.begin import guest_memory
from freehint.runs.scenario_file import read_scenario
from freehint.runs.trajectory.trajectory import recording
from freehint.units import NS_PER_MS
from freehint.widgets import GuestKnobs, Lab, Player, scenario_code
from freehint.widgets.knobs.history import History
from freehint.widgets.knobs.seeds import Spread
from freehint.widgets.knobs.share import read_setting
from freehint.widgets.lab_figures import draw_runs
from freehint.widgets.lab_knobs import FIELDS, GROUPS, Bench
from freehint.widgets.lab_runs import MOMENTS, _first_looks
from freehint.widgets.lab_table import run_table, spread_table
from freehint.widgets.later import InSlices, Later
from freehint.widgets.run_figures import draw_run
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
        SMALL.with_values({"park.every_ns": 7_000_000, "host.discard": True, "host.pages": "thp"}),
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
        ({"migration.generation": "G1"}, {"park", "park at", "chunk"}),
        ({"host.backend": "free"}, {"backend", "pages", "restore"}),
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
    parking = {"park.at_ns": 20 * NS_PER_MS, "host.discard": True}
    for changes in (migrating, {"workload": PROGRAM}, parking):
        base = SMALL.with_values(changes)
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
        summary = fh.simulate(made[side.lower()]).summary.drop("policy")
        assert summary.equals(bench.runs[side].summary.drop("policy"))
    assert bench.runs["A"].summary["policy"] == "v24, on_full=stop"
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


def row_of(text, label):
    return next(row for row in text.split("<th scope='row'>") if row.startswith(label))


def test_one_seed_decides_nothing():
    runs = [fh.simulate(SMALL.with_values({"ring.size": size})) for size in (1024, 8)]
    text = run_table({"A": runs[0], "B": runs[1]})
    lost = runs[1].summary["lost_pages"] / 256
    assert f"+{lost:,.2f} MiB" in row_of(text, "lost on a full ring")
    assert "better" not in text and "worse" not in text and "sent" not in text


def test_a_park_is_told_in_the_table_and_drawn_beside_a_guest_that_is_not_parked():
    parked = SMALL.with_values({"park.at_ns": 5 * NS_PER_MS, "host.discard": True})
    late = parked.with_values({"park.parked_ns": 50 * NS_PER_MS})
    runs = {"A": fh.simulate(SMALL), "B": fh.simulate(parked)}
    text = run_table(runs)
    stored = runs["B"].summary["stored_bytes"] / (1 << 20)
    assert f"{stored:,.2f} MiB" in row_of(text, "snapshot") and "–" in row_of(text, "snapshot")
    assert "–" not in row_of(text, "lost to discards")
    assert "MiB" not in row_of(run_table({"A": fh.simulate(late)}), "snapshot")
    assert len(draw_runs(runs).axes) == len(draw_runs({"A": runs["A"]} | {"B": runs["A"]}).axes) + 2
    assert (
        draw_run(fh.simulate(late), ("stranded", "resume"), 1).get_suptitle().endswith("restored")
    )


def spread_of(values: dict, **constant):
    """A Spread with a value of each side and seed in ``lost_pages``; all else is the same."""
    alike = {"strokes": 3, "coverage": 0.5, "survival": 0.5, "duplicate_pages": 0, "stale_pages": 0,
             "walk_ns": 1, "lock_held_max_ns": 1, "alloc_wait_max_ns": 1, **constant}  # fmt: skip
    rows = [
        alike | {"side": side, "seed": seed, "lost_pages": 256 * value}
        for side, column in values.items()
        for seed, value in enumerate(column, 1)
    ]
    return Spread(rows)


def test_better_and_worse_only_outside_the_spread():
    lost = "lost on a full ring"
    seen = row_of(spread_table(spread_of({"A": [1, 2, 3, 4, 5], "B": [5, 6, 7, 8, 10]})), lost)
    assert "+4.20 MiB <small>± 0.56</small> ▼ worse" in seen and "3.00 MiB" in seen
    back = row_of(spread_table(spread_of({"A": [5, 6, 7, 8, 10], "B": [1, 2, 3, 4, 5]})), lost)
    assert "−4.20 MiB" in back and "▲ better" in back
    noise = row_of(spread_table(spread_of({"A": [9, 1, 9, 1, 9], "B": [1, 9, 2, 9, 9]})), lost)
    assert "no difference seen" in noise and "better" not in noise
    alone = spread_table(spread_of({"A": [1, 2, 3, 4, 5]}))
    assert "3.00 MiB <small>± 1.97</small>" in alone and "B − A" not in alone


def test_five_seeds_of_the_bench():
    bench = Lab(SMALL, SMALL)
    bench.run_seeds()
    text = bench._page.table.value
    assert bench.spread.seeds == [1, 2, 3, 4, 5] and bench.spread.sides == ("A", "B")
    assert "better" not in text and "worse" not in text  # A null effect.
    assert text.count("no difference seen") == text.count("<tr><th scope='row'>")
    alone = fh.simulate(SMALL.with_values({"seed": 4})).summary["reused_pages"]
    table = bench.spread.table
    assert set(table.loc[table["seed"] == 4, "reused_pages"]) == {alone}
    bench.edited.value = "B"
    bench.knobs["ring size"].value = 8
    assert bench.spread is None and "one seed" in bench._page.table.value
    bench.run_seeds()
    assert "▼ worse" in row_of(bench._page.table.value, "lost on a full ring")


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
    rows = [
        runs[side].summary.to_dict() | {"side": side, "seed": seed, "sent_bytes": 1e6 * sent}
        for side, many in (("A", 9), ("B", 1))
        for seed, sent in ((1, many), (2, many + 0.1))
    ]
    sent = row_of(spread_table(Spread(rows)), "sent")
    assert "−8.00 MB" in sent and "better" not in sent and "worse" not in sent


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

    def call_later(self, seconds, act, *arguments):
        handle = asyncio.TimerHandle(self.now + seconds, act, arguments, self)
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


def test_newer_work_replaces_older():
    loop, seen = FakeLoop(), []
    slices = InSlices(loop=lambda: loop)

    def work(name, steps):
        for step in range(steps):
            time.sleep(0.006)
            yield
            seen.append((name, step))
        seen.append((name, "end"))

    slices.begin(work("old", 50))
    loop.advance(0.1)
    assert len(seen) <= 3 and slices.busy  # one slice, not all of it
    slices.begin(work("new", 3))
    for _ in range(9):
        loop.advance(0.1)
    assert ("old", "end") not in seen and seen[-1] == ("new", "end") and not slices.busy


BIGGER = SMALL.with_values({"memory": "128MiB"})


def test_what_the_page_says_is_answered_in_the_thread_of_the_cell():
    """JupyterLab's subshell is another thread; a turn there may not be lost, nor overtaken."""

    def turn(knob, index):
        data = {"method": "update", "state": {"index": index}, "buffer_paths": []}
        knob.comm.handle_msg({"content": {"data": data}, "buffers": []})

    async def cell():
        bench, seen = Lab(SMALL), []
        knob, last = bench.knobs["policy"], len(POLICIES) - 1
        knob.observe(lambda change: seen.append(threading.current_thread()), names="value")
        with ThreadPoolExecutor(1) as subshell:
            for index in (0, last, 3, last):
                subshell.submit(turn, knob, index).result()
        assert seen == []  # nothing while the cell runs
        while bench.scenarios["A"].policy.name != list(POLICIES)[last] or bench._stale:
            await asyncio.sleep(0.01)
        assert seen == [threading.main_thread()] * 4

    asyncio.run(asyncio.wait_for(cell(), 60))


def test_a_turn_before_the_last_slice_is_simulated():
    """It comes when the work under way is about to end, and nothing has begun anew."""
    bench, loop = Lab(SMALL), FakeLoop()
    for part in (bench._soon, bench._quiet, bench._slices):
        part._loop = lambda: loop
    work = bench._work(previews=False)
    bench._stale.add("A")
    steps = sum(1 for _ in work)
    bench._stale.add("A")
    work = bench._work(previews=False)
    for _ in range(steps):
        next(work)
    bench.knobs["policy"].value = "five_step"
    assert next(work, None) is None  # it ends
    for _ in range(200):
        loop.advance(0.01)
    assert bench.players["A"].trajectory.meta["policies"] == ["five_step"] and not bench._stale


def test_a_burst_of_turns_is_simulated_once():
    """Six turns while the first is under way: only the newest is shown."""
    bench, loop = Lab(BIGGER), FakeLoop()
    for part in (bench._soon, bench._quiet, bench._slices):
        part._loop = lambda: loop
    shown = []
    bench.players["A"].observe(lambda change: shown.append(change["new"]), names="payload")
    for size in (512, 256, 128, 64, 32, 16):
        bench.knobs["ring size"].value = size
        loop.advance(0.003)  # the work begins, and does one slice
    for _ in range(200):
        loop.advance(0.01)
    assert len(shown) == 2  # a preview, and every moment
    expected = BIGGER.with_values({"ring.size": 16})
    assert shown[-1] == fh.record(expected, MOMENTS).to_bytes()
    assert bench.scenarios["A"] == expected


def test_a_preview_is_exact_where_it_looks():
    only = _first_looks(37)
    guest = guest_memory(BIGGER)
    *_, preview = recording(BIGGER, guest, MOMENTS, only=only)
    whole = fh.record(BIGGER, MOMENTS)
    assert 37 in only and len(preview) == len(whole) == MOMENTS
    assert preview.run.summary.equals(whole.run.summary)
    for name in ("cells.free", "cells.hinted", "types", "in_flight", "tally"):
        assert (preview.arrays[name][only] == whole.arrays[name][only]).all(), name
        between = preview.arrays[name][only[3] + 1]
        assert (between == whole.arrays[name][only[3]]).all()
    assert (preview.arrays["time_ns"] == whole.arrays["time_ns"]).all()
    assert preview.lists_at(37).equals(whole.lists_at(37))
    assert len(fh.Trajectory.from_bytes(preview.to_bytes())) == MOMENTS


# Undo, reset and share.


def test_undo_and_reset():
    bench = Lab(SMALL)
    bench.knobs["policy"].value = "hold_the_lock"
    bench.knobs["ring size"].value = 16
    bench.knobs["seed"].value = 3
    bench.undo()
    assert (bench.knobs["seed"].value, bench.scenarios["A"].seed) == (1, 1)
    bench.undo()
    bench.undo()
    assert bench.scenarios["A"] == SMALL and bench.knobs["lock"].value == "per_list"
    bench.undo()  # there is nothing left
    bench.knobs["seed"].value = 4
    bench.reset()
    assert bench.scenarios["A"] == SMALL
    bench.undo()
    assert bench.scenarios["A"].seed == 4


def test_a_drag_is_undone_at_once():
    history = History()
    for size in (1024, 512, 256):
        history.note(size, "ring size")
    history.note(256, "seed")
    history.rest()
    history.note(7, "seed")
    assert [history.back() for _ in range(len(history))] == [7, 256, 1024]


def test_the_name_tells_what_was_changed():
    bench = Lab(SMALL)
    bench.knobs["lock"].value = "whole_walk"
    assert bench.runs["A"].summary["policy"] == "v24, lock=whole_walk"
    assert bench.players["A"].trajectory.meta["policies"] == ["v24, lock=whole_walk"]
    assert bench.scenarios["A"].policy.name == "v24"
    bench.knobs["lock"].value = "per_list"
    assert bench.runs["A"].summary["policy"] == "v24"


def test_a_setting_there_and_back(tmp_path):
    bench = Lab(SMALL, SMALL.with_values({"policy": "hold_the_lock", "ring.size": 16}))
    texts = bench._page.actions.share.texts
    path = tmp_path / "bench.json"
    path.write_text(texts["JSON"])
    for given in (path, str(path), texts["JSON"]):
        assert Lab.load(given).scenarios == bench.scenarios
    assert executed(texts["code"])["b"] == bench.scenarios["B"]
    first, second = texts["TOML"].split("# B, a file of its own\n")
    for text, side in ((first, "A"), (second, "B")):
        (tmp_path / "one.toml").write_text(text)
        assert read_scenario(tmp_path / "one.toml") == bench.scenarios[side]
    other = Lab(SMALL.with_values({"seed": 9}))
    other.open_setting(texts["JSON"])
    assert other.scenarios == bench.scenarios and other.shown == ("A", "B")
    other.undo()
    assert other.scenarios["A"].seed == 9


def test_a_setting_between_the_positions_gets_one():
    bench = Lab(SMALL)
    bench.open_setting('{"freehint_bench": 1, "A": {"memory": "64MiB", "host.gap_ns": 4500000}}')
    assert (bench.knobs["host away"].label, bench.sentence) == ("4.5 ms", "")
    assert bench.scenarios["A"].host.gap_ns == 4_500_000


BAD_SETTINGS = {
    '{"freehint_bench": 2, "A": {}}': "freehint_bench must be 1, got 2: this setting is of another",
    '{"freehint_bench": 1, "A": {"ring.size": 3}}': "A: ring.size must be a power of two",
    '{"freehint_bench": 1, "A": {"policy.lock": "no"}}': "A: policy.lock must be one of",
    '{"freehint_bench": 1, "A": {"memory": "nowhere"}}': "nowhere.meta.json: there is no such file",
    '{"freehint_bench": 1, "A": {"rings": 3}}': "A: there is no parameter 'rings'",
    '{"freehint_bench": 1, "A": {"policy": ["v24", "none"]}}': "be one policy on the bench",
    '{"freehint_bench": 1, "A": [1]}': "A must be a table of fields",
    '{"freehint_bench": 1, "B": {}}': "must have an A",
    '{"freehint_bench": 1, "A": {}, "C": {}}': "must have A and B alone, got 'C'",
    '{"A": {}}': "must have a freehint_bench",
    "{not JSON": "is not whole JSON",
    "": "is not whole JSON",
    "no_such.json": "no_such.json: there is no such file",
}


@pytest.fixture(scope="module")
def seen():
    """A bench that no bad setting changes."""
    return Lab(SMALL)


@pytest.mark.parametrize("text", BAD_SETTINGS)
def test_a_bad_setting_is_one_sentence_and_the_picture_stays(text, seen):
    before = seen.players["A"].payload, seen.code, seen._state(), seen.picture.png
    seen.open_setting(text)
    said = html.unescape(seen._page.message.value)
    assert BAD_SETTINGS[text] in said and "Nothing has changed." in said
    assert (seen.players["A"].payload, seen.code, seen._state(), seen.picture.png) == before
    with pytest.raises(InputError, match=re.escape(BAD_SETTINGS[text])):
        Lab.load(text)


def test_what_cannot_be_shared_says_why():
    texts = Lab(SMALL.with_values({"memory": fh.make_memory("64MiB")}))._page.actions.share.texts
    assert all("memory: a Memory has no name" in text for text in texts.values())


def test_the_panels_share_all_of_this():
    panel = GuestKnobs(SMALL)
    assert [knob.options[knob.default] for knob in panel.knobs.values()][:3] == [
        *("never", "restart", "per_list"),
    ]
    panel.knobs["lock"].value = "per_zone"
    assert panel.run.summary["policy"] == "v24, lock=per_zone"
    shared = panel._actions.share.texts["JSON"]
    assert read_setting(shared)["A"] == SMALL.with_values({"policy.lock": "per_zone"})
    panel.undo()
    assert panel.knobs["lock"].value == "per_list" and panel.run.summary["policy"] == "v24"
    panel.open_setting(shared)
    assert panel.knobs["lock"].value == "per_zone"
    picture = panel.picture.png
    panel.open_setting('{"freehint_bench": 1, "A": {"ring.size": 3}}')
    assert "ring.size must be a power of two" in panel.message.value
    assert panel.picture.png == picture
    panel.run_seeds()
    assert "± " in panel._table.value and panel.spread.seeds == [1, 2, 3, 4, 5]
    panel.reset()
    assert panel.knobs["lock"].value == "per_list" and panel._table.value == ""


def test_the_bench_opens_in_the_middle_of_a_walk():
    bench = Lab()
    seen = bench.players["A"]
    assert bench.scenarios["A"].memory == fh.Scenario().memory
    assert seen.trajectory.meta["nr_pages"] >= 1 << 20
    assert seen.trajectory.arrays["walking"][seen.moment].any()
