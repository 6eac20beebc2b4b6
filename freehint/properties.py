"""What a policy promises, held against random histories by an observer of its own.

A history is a small guest, a workload, a ring, a host and what it commands, all drawn from one
number.  The engine runs it as always; after every event the observer reads every frame, and so
knows by itself which blocks stood where since when.  Four properties are judged:

whole      After every verb and every event all pages are there: on a free list, on a pcp list,
           held for the host, or allocated.  ``check_memory`` agrees.
reported   A block that is free during a whole walk, of an order that the policy walks, is offered
           to the ring ("offered"), or even taken by it ("taken"): a full ring loses none.
once       In one walk no block is taken twice unless it left its place in between.  Whether or
           not, the run's ``duplicate_pages`` equals what the observer counted.
clean      A walk that is over, by its end or by STOP, leaves no bookmark and no END on any list;
           after DONE nothing is held.

A policy may promise less; :data:`PROMISES` says what each does.  A promise that is not made has a
counterexample in the table.

Run it: ``python -m freehint.properties`` (``make properties``), or :func:`properties` for a policy
of your own.
"""

import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.config import Control, HostConfig, InputError, RingConfig
from freehint.engine import Engine
from freehint.formats.boot import make_memory
from freehint.guest.workloads import Workload
from freehint.loop import STROKE_PUBLISHED
from freehint.mm.check import InvariantError
from freehint.mm.list import list_empty
from freehint.mm.memory import (
    BUDDY,
    ISOLATED,
    NODES_PER_USER,
    NR_ORDERS,
    USER_BOOKMARK,
    USER_LIST,
    user_node,
)
from freehint.policies import POLICIES, find_policy
from freehint.policies.walker import LOCK, RESUME, ROTATE, Walker
from freehint.policy import ON_FULL, Policy
from freehint.simulate import Scenario, guest_memory, run_engine
from freehint.world import ACTOR_BITS, NEVER

DURATION_NS = 1_500_000


class Promise(NamedTuple):
    """What a policy promises of the properties that not every policy has.

    reported : "taken", "offered" or None
    once : bool
    """

    reported: str | None
    once: bool


PROMISES = {
    "none": Promise(None, True),  # it never reports
    # A full ring loses hints, and between two lists a pageblock may change its type: its blocks
    # move to lists that were walked before, and are missed, or to one that was not, and are met
    # again.  Rare: 1 and 6 of 600,000 in 1,000 histories.
    "v24": Promise(None, False),
    "v25": Promise(None, False),
    # All under one hold of the lock; the array is a copy, so nothing is met again.
    "v33": Promise("offered", True),
    # A consumed: the walk ends after one lap, in which blocks are met again and others never.
    "rotate_on_exit": Promise(None, False),
    # The bookmark stands whatever happens; a type that changes moves blocks over it.
    "restartable_cursor": Promise(None, False),
    # Nobody can change the lists during its one stroke a zone.
    "hold_the_lock": Promise("taken", True),
    # Watermarks keep it from taking some; a callback ends a stroke, and what comes back goes
    # behind the END.
    "five_step": Promise(None, True),
    # Order 10, and only while watermarks allow.
    "balloon_alloc": Promise(None, True),
    # A sixteenth of a list in a pass.
    "page_reporting": Promise(None, True),
}
# Of the walker's combinations: nothing but what every policy promises.
KNOBS = Promise(None, False)


# Histories.


@cache
def _memory(fragmentation: float, seed: int):
    return make_memory("64MiB", seed=seed, fragmentation=fragmentation)


def _workload(chance) -> Workload:
    return Workload(
        nr_cpus=chance.choice((1, 2, 3)),
        interval_ns=chance.choice((5_000, 15_000, 50_000)),
        live_share=chance.choice((0.1, 0.5, 0.9)),
        growth=chance.choice((0.5, 0.75, 0.95)),
        write_share=0.05,
        order_weights=chance.choice(
            ((1,), (8, 1, 0, 1), (4, 1, 1, 1, 1, 1), (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1))
        ),
        type_weights=chance.choice(((0, 1, 0), (1, 1, 1), (1, 4, 0))),
    )


def _host(chance) -> HostConfig:
    every, away = chance.choice(((1, 0), (200_000, 100_000), (300_000, 10**12)))
    return HostConfig(
        service_ns=chance.choice((500, 5_000, 50_000)),
        kick_ns=chance.choice((0, 20_000)),
        gap_every_ns=every,
        gap_ns=away,
    )


def _control(chance) -> Control:
    """STOP, DONE and the switch at any time, or never; DONE comes last."""
    times = sorted(chance.randrange(DURATION_NS // 8, DURATION_NS) for _ in range(3))
    never = chance.random() < 0.4
    off, stop = (-1, -1) if never else chance.sample(times[:2], 2)
    return Control(
        every_ns=chance.choice((0, DURATION_NS // 3)),
        stop_at_ns=stop if chance.random() < 0.7 else -1,
        off_at_ns=off if chance.random() < 0.3 else -1,
        done_at_ns=chance.choice((-1, times[2])),
    )


def _hurried(policy: Policy, chance) -> Policy:
    """The same policy with its pauses cut, so that a short history holds whole walks."""
    capacity = chance.choice((1, 4, 32, 200)) if policy.capacity == 32 else policy.capacity
    delay = None if policy.delay_ns is None else chance.choice((20_000, 200_000))
    return replace(policy, pause_ns=min(policy.pause_ns, 5_000), delay_ns=delay, capacity=capacity)


def history(policy, number: int) -> Scenario:
    """The scenario that a number stands for; guest, host and commands do not depend on the policy.

    Parameters
    ----------
    policy : str or Policy
    number : int
    """
    chance = random.Random(number)
    return Scenario(
        memory=_memory(chance.choice((0.0, 0.4, 1.0)), chance.randrange(4)),
        policy=_hurried(find_policy(policy), random.Random(number)),
        seed=number,
        workload=_workload(chance),
        ring=RingConfig(chance.choice((2, 8, 64, 1024))),
        host=_host(chance),
        control=_control(chance),
        walk_at_ns=chance.choice((0, 100_000)),
        duration_ns=DURATION_NS,
    )


# The observer.


class Observer(Engine):
    """An engine of one user that is watched event by event.

    Per node: ``place`` is 1 + the order of the block that it heads, 0 for none, and ``listed``
    whether on a free list.  ``hinted``: taken since it is listed.  Of the walk: ``stayed``: there
    since its beginning; ``offered``, ``taken``: since it is there.
    """

    def __init__(self, *args):
        super().__init__(*args)
        nodes = self.world.memory.nr_pages
        self.frame = np.zeros(nodes, np.uint16)
        self.place = np.zeros(nodes, np.uint8)
        self.listed, self.hinted, self.stayed, self.offered, self.taken = np.zeros((5, nodes), bool)
        self.rows = self.walks = self.judged = 0
        self.counted_duplicates = 0
        self.tally = dict.fromkeys(("walks", "stopped", "stayed", "unoffered", "untaken"), 0)
        self.tally["twice"] = 0
        self.faults = {}  # property -> the first sentence
        self.own = self.users[0] if self.users else None
        self._look()
        self.total = self._pages()

    def _run_until(self, time_ns: int) -> None:
        while (now := self._next_look()) < time_ns:
            super()._run_until(now)
            self._observe(now)
            super()._run_until(now + 1)
            self._observe(now)
        super()._run_until(time_ns)
        self._observe(time_ns)

    def _answer(self, why: int, now_ns: int, who: int) -> None:
        if why == STROKE_PUBLISHED:
            # Its end may wake a CPU that takes the last block reported in the same nanosecond.
            self._look()
            self._follow_walk()
        super()._answer(why, now_ns, who)

    def _next_look(self) -> int:
        """When something may change: what was reported before must be read first.

        A stroke under the lock takes no block off its list, so only the guest's events need a
        look, unless somebody sleeps whom the stroke's end will wake.
        """
        guest = self.world.key[: self.host]
        under_lock = self.own is None or self.own.policy.report == "under_lock"
        actors = guest if under_lock and guest.max() < NEVER else self.world.key
        return int(actors.min()) >> ACTOR_BITS

    def _observe(self, now: int) -> None:
        if self._look() and (pages := self._pages()) != self.total:
            self._fault("whole", f"{self.total - pages} pages missing at {now} ns")
        if self.own is None:
            return
        self._follow_walk()
        if self.walks > self.judged and self.own.walks[-1][1] >= 0:
            self._walk_ends(now)

    def _look(self) -> bool:
        """Read every frame; whatever changed its place has left.  Did anything change?"""
        if (self.world.memory.frame == self.frame).all():
            return False
        frame = self.frame = self.world.memory.frame.copy()
        place = np.where(frame & (BUDDY | ISOLATED), (frame & 0xF) + 1, 0).astype(np.uint8)
        same = place == self.place
        self.listed = frame & BUDDY != 0
        for marks in (self.stayed, self.offered, self.taken):
            marks &= same
        self.hinted &= same & self.listed
        self.place = place
        return True

    def _pages(self) -> int:
        """Pages that are somewhere."""
        blocks = np.bincount(self.place, minlength=NR_ORDERS + 1)[1:]
        on_lists = int(blocks @ (1 << np.arange(NR_ORDERS)))
        world = self.world
        return on_lists + int(world.memory.pcp["count"].sum() + world.cpu["live_pages"].sum())

    def _follow_walk(self) -> None:
        if len(self.own.walks) > self.walks:
            self._walk_begins()
        self._read_reports()

    def _walk_begins(self) -> None:
        self.walks = len(self.own.walks)
        self.stayed = self.place > self.own.policy.smallest_order
        self.offered[:] = False
        self.taken[:] = False

    def _read_reports(self) -> None:
        end = int(self.world.state[0].nr_reports)
        for row in self.world.reports[self.rows : end]:
            _, _, _, _, order, _, pfn, pages, taken, _ = map(int, row)
            node = pfn - self.world.memory.base_pfn
            if self.place[node] == order + 1:
                self._reported(node, pages, bool(taken))
        self.rows = end

    def _reported(self, node: int, pages: int, taken: bool) -> None:
        self.offered[node] = True
        if not taken:
            return
        if self.taken[node]:
            self.tally["twice"] += 1
            self._fault("once", f"{self._name(node)} was taken twice in walk {self.walks}")
        self.taken[node] = True
        if self.listed[node]:
            self.counted_duplicates += pages * bool(self.hinted[node])
            self.hinted[node] = True

    def _walk_ends(self, now: int) -> None:
        self.judged = self.walks
        self._judge_clean(f"at {now} ns")
        completed = self.own.walks[-1][2]
        self.tally["walks" if completed else "stopped"] += 1
        if not completed:
            return
        self.tally["stayed"] += int(self.stayed.sum())
        for kind, marks in (("offered", self.offered), ("taken", self.taken)):
            missed = np.flatnonzero(self.stayed & ~marks)
            self.tally[f"un{kind}"] += len(missed)
            if len(missed):
                self._fault(kind, f"{self._name(missed[0])} was not {kind} in walk {self.walks}")

    def _judge_clean(self, when: str) -> None:
        memory, user = self.world.memory, self.own.number
        for which in range(USER_BOOKMARK, NODES_PER_USER):
            if not list_empty(memory.links, user_node(memory, user, which)):
                self._fault("clean", f"user node {which} is left on a list {when}")

    def _done(self, now_ns: int) -> None:
        super()._done(now_ns)
        self._look()
        # A policy with nothing to give back holds blocks during a report alone.
        if self.own is not None and self.own.policy.release:
            self._judge_held(f"after DONE at {now_ns} ns")

    def _judge_held(self, when: str) -> None:
        memory = self.world.memory
        if not list_empty(memory.links, user_node(memory, self.own.number, USER_LIST)):
            self._fault("clean", f"blocks are held {when}")

    def _name(self, node) -> str:
        return f"block {node + self.world.memory.base_pfn} of order {int(self.place[node]) - 1}"

    def _fault(self, property_: str, sentence: str) -> None:
        self.faults.setdefault(property_, sentence)


def observe(scenario: Scenario) -> Observer:
    """Run one history; the observer with what it saw.  A broken list ends the history."""
    found = []

    def watched(*args):
        found.append(Observer(*args))
        return found[0]

    memory, _ = guest_memory(scenario)
    try:
        run_engine(scenario, memory, check=True, engine=watched)
    except InvariantError as error:
        found[0]._fault("whole", str(error))
    engine = found[0]
    duplicates = int(engine.world.user["duplicate"].sum())
    if duplicates != engine.counted_duplicates:
        counts = f"duplicate_pages is {duplicates}, counted were {engine.counted_duplicates}"
        engine._fault("duplicates", counts)
    return engine


# The table.

COUNTS = ("walks", "stopped", "stayed", "unoffered", "untaken", "twice")


def properties(policy, histories=1000, promise=None, first=0) -> pd.Series:
    """Hold a policy against random histories.

    Parameters
    ----------
    policy : str or Policy
    histories : int
    promise : Promise, optional
        Default: that of :data:`PROMISES`; for a policy of your own, only what all promise.
    first : int
        Number of the first history.

    Returns
    -------
    Series
        policy, histories; ``whole``, ``reported``, ``once``, ``clean``: "yes", "no" (broken: the
        sentence is in ``broken``), or "not promised", with a counterexample in ``examples`` if one
        was met; walks that ended, walks that were ``stopped``; blocks that stayed for a whole walk,
        of them unoffered and untaken; blocks taken twice.

    Examples
    --------
    >>> from freehint.properties import properties
    >>> properties("hold_the_lock", histories=5)["whole"]
    'yes'
    """
    policy = find_policy(policy)
    promise = promise or PROMISES.get(policy.name, KNOBS)
    return _row(policy, promise, [_observe_some(policy, first, histories)])


def _observe_some(policy: Policy, first: int, histories: int) -> tuple:
    """(histories, tally, first fault of each kind) of some histories."""
    tally, faults = dict.fromkeys(COUNTS, 0), {}
    for number in range(first, first + histories):
        engine = observe(history(policy, number))
        for name in COUNTS:
            tally[name] += engine.tally[name]
        for name, sentence in engine.faults.items():
            faults.setdefault(name, f"history {number}: {sentence}")
    return histories, tally, faults


def _row(policy: Policy, promise: Promise, parts) -> pd.Series:
    tally, faults = dict.fromkeys(COUNTS, 0), {}
    for _, some, found in parts:
        tally = {name: tally[name] + some[name] for name in COUNTS}
        faults = found | faults
    histories = sum(part[0] for part in parts)
    row = {"policy": policy.name, "histories": histories, **_verdict(promise, faults, tally)}
    return pd.Series(row)


def _verdict(promise: Promise, faults: dict, tally: dict) -> dict:
    promised = {
        "whole": ("whole",),
        "reported": (promise.reported,) if promise.reported else (),
        "once": ("once",) if promise.once else (),
        "clean": ("clean",),
        "counted": ("duplicates",),
    }
    answers, broken = {}, []
    for name, kinds in promised.items():
        against = [faults[kind] for kind in kinds if kind in faults]
        broken += [f"{name}: {sentence}" for sentence in against]
        answers[name] = "no" if against else "yes" if kinds else "not promised"
    if promise.reported == "offered":
        answers["reported"] = answers["reported"].replace("yes", "yes, but for lost hints")
    kept = {kind for kinds in promised.values() for kind in kinds}
    examples = [f"{kind}: {faults[kind]}" for kind in sorted(faults) if kind not in kept]
    return answers | tally | {"broken": "; ".join(broken), "examples": "; ".join(examples)}


def walkers():
    """Every combination of the walker's knobs that is not refused."""
    for rotate, resume, lock, on_full in product(ROTATE, RESUME, LOCK, ON_FULL):
        name = f"{rotate}, {resume}, {lock}, {on_full}"
        try:
            yield Walker(name, rotate=rotate, resume=resume, lock=lock, on_full=on_full)
        except InputError:
            continue


CHUNK = 25  # histories a task


def table(policies, histories: int) -> pd.DataFrame:
    """A row a policy, as of :func:`properties`, by a worker process a CPU."""
    policies = list(policies)
    parts = {policy.name: [] for policy in policies}
    properties(policies[0], 1)  # compiled once, before workers all do it into one cache
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as pool:
        for policy, first in product(policies, range(0, histories, CHUNK)):
            task = pool.submit(_observe_some, policy, first, min(CHUNK, histories - first))
            parts[policy.name].append(task)
        return pd.DataFrame(
            _row(p, PROMISES.get(p.name, KNOBS), [task.result() for task in parts[p.name]])
            for p in policies
        )


def main(arguments) -> int:
    """Print the table of all policies, and a smaller one of the walker's combinations."""
    histories = int(arguments[0]) if arguments else 1000
    named = table(POLICIES.values(), histories)
    knobs = table(walkers(), -(-histories // 40))
    for rows in (named, knobs):
        print(rows.drop(columns=["broken", "examples"]).to_string(index=False), end="\n\n")
    for _, row in named.iterrows():
        print(f"{row['policy']}: {row['examples'] or 'no counterexample'}")
    broken = pd.concat([named, knobs]).query("broken != ''")
    for _, row in broken.iterrows():
        print(f"BROKEN: {row['policy']}: {row['broken']}")
    return int(len(broken) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
