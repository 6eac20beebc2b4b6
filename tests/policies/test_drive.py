"""One driver of a policy's verbs, and one drawer of random guests."""

import ast
from pathlib import Path

import pandas as pd
import pytest

import freehint as fh
from freehint.engine.world.clock import schedule
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.memory import USER_LIST, copy_memory, list_nodes, user_node
from freehint.policies import find_policy
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome, Stroke
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.tables.frames import frame
from freehint.runs.tables.remains import remains_of

ROOT = Path(__file__).parents[2]
DRIVEN = {"fill", "drain", "next_zone"}


def calls(path: Path, names: set) -> bool:
    """Does a file call one of these methods?"""
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    return any(isinstance(one, ast.Attribute) and one.attr in names for one in functions)


def test_nobody_but_the_engine_and_the_driver_calls_a_policys_drain():
    files = [*(ROOT / "freehint").rglob("*.py"), ROOT / "tests/strokes.py"]
    found = {str(path.relative_to(ROOT)) for path in files if calls(path, {"drain"})}
    # The engine goes through User.call(), and the explorer calls verbs by address.
    assert found == {"freehint/policies/drive.py"}
    replays = [path for path in files if "replay" in path.parts or path.name == "thread.py"]
    assert len(replays) > 5 and not [path for path in replays if calls(path, DRIVEN)]


@pytest.mark.parametrize("folder", ["freehint/studies", "freehint/replay"])
def test_one_file_draws_random_guests(folder):
    found = {
        path.name
        for path in (ROOT / folder).rglob("*.py")
        if calls(path, {"Random"}) or "Workload(\n" in path.read_text()
    }
    assert found <= {"histories.py"}


@pytest.fixture
def memory():
    return fh.make_memory("64MiB", seed=1, fragmentation=0.5)


@pytest.mark.parametrize("name", ["v33", "restartable_cursor", "five_step", "balloon_alloc"])
def test_it_tells_the_strokes_that_the_engine_makes(name, memory):
    """The guest's CPUs sleep; ring and host take all at once."""
    scenario = fh.Scenario(memory=memory, policy=name, walk_at_ns=0)
    scenario = scenario.with_values({"host.gap_ns": 0, "ring.size": 1024})
    engine = new_engine(scenario, guest_memory(scenario)[0])
    for actor in range(engine.strokes.host):
        schedule(engine.world, actor, 1 << 50)  # A CPU that is suspended would be woken.
    engine.run()
    told = (
        frame("reports", remains_of(engine, {}))
        .groupby("stroke")[["pfn", "order"]]
        .apply(pd.DataFrame.to_numpy)
    )
    driven = Drive(find_policy(name), guest_memory(scenario)[0])
    strokes = [stroke for stroke in driven if stroke.rows]
    assert len(strokes) == len(told) > 0 and driven.over
    for stroke, rows in zip(strokes, told, strict=True):
        assert [(n + memory.base_pfn, o) for n, o in stroke.rows] == list(map(tuple, rows))


def test_the_caller_decides_what_becomes_of_each_row(memory):
    policy = fh.Walker("w", rotate="on_exit", resume="cursor", capacity=4, on_full="stop")
    answers = [[Outcome.TAKEN, Outcome.REFUSED, Outcome.REFUSED, Outcome.REFUSED]]
    drive = Drive(policy, memory, lambda rows: answers[0][: len(rows)])
    first = next(drive)
    assert first.outcomes.tolist() == [1, 0, 0, 0] and first.status == Stroke.MORE
    answers[0] = [Outcome.TAKEN] * 4
    assert next(drive).rows[0] == first.rows[1]


def test_the_caller_acts_between_two_strokes(memory):
    """A block that has left its list is not reported."""
    policy = fh.Walker("w", rotate="never", resume="cursor", capacity=4)
    whole = [row for stroke in Drive(policy, copy_memory(memory)) for row in stroke.rows]
    drive = Drive(policy, memory)
    seen = next(drive).rows
    node, order = whole[6]
    del_page_from_free_list(memory, node, drive.zone, order)
    seen = seen + [row for stroke in drive for row in stroke.rows]
    assert seen == whole[:6] + whole[7:]


def test_other_verbs_are_called_where_the_policy_has_them(memory):
    drive = Drive(find_policy("balloon_alloc"), memory)
    rows = [row for stroke in drive for row in stroke.rows]
    held = len(list_nodes(memory, user_node(memory, 0, USER_LIST)))
    assert held == len(rows) > 0
    assert drive.call("on_empty", 0, 10, 1) == 0  # it has no such verb
    assert drive.call("release") == held
    assert len(list_nodes(memory, user_node(memory, 0, USER_LIST))) == 0


def test_a_walk_that_is_over_gives_no_stroke(memory):
    drive = Drive(find_policy("v33"), memory)
    assert len(list(drive)) > 0
    assert drive.over and drive.stroke() is None and list(drive) == []
