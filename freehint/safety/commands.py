"""The output of ``freehint explore``."""

import sys
import time
from itertools import product

from freehint.config import InputError, parameters
from freehint.safety.chance.histories import print_histories
from freehint.safety.chance.random import Chances, explore_at_random
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust.explore import Exploration, explore
from freehint.safety.guest import Case
from freehint.safety.migrating import FINE
from freehint.safety.trace import replay, schedule_string

TELL_EVERY_S = 5


def print_exploration(args) -> bool:
    """Explore each case that the options name, or play one schedule."""
    if args.replay is not None:
        return print_replay(args.replay)
    if args.histories is not None:
        return print_histories(args.histories)
    if args.random is None and args.pct:
        raise InputError("--pct needs --random N, the number of schedules")
    cases = list(_cases(args))
    if args.checkpoint and len(cases) > 1:
        raise InputError("--checkpoint keeps one search, but the options name several cases")
    if args.random is not None:
        chances = [_print_random(case, args) for case in cases]
        return not any(one.violation for one in chances)
    found = [_print_one(case, args) for case in cases]
    if len(found) > 1:
        print(f"{sum(one.exhausted for one in found)} of {len(found)} exhausted without violation,")
        print(f"{sum(one.violation != FINE for one in found)} with a violation")
    return not any(one.violation for one in found)


def _cases(args):
    """A case for each combination of what was given several times."""
    given = {
        name: value
        for name in (one.name for one in parameters(Case))
        if (value := getattr(args, name)) is not None
    }
    several = {name: value for name, value in given.items() if isinstance(value, list)}
    for values in product(*several.values()):
        yield Case(**given | dict(zip(several, values, strict=True)))


class _Told:
    """Tells about every 5 s how far a search is."""

    def __init__(self):
        self.began = self.last = time.monotonic()

    def __call__(self, level: int, states: int, of_level: int) -> None:
        now = time.monotonic()
        if now - self.last > TELL_EVERY_S:
            self.last = now
            rate = states / (now - self.began)
            line = f"  level {level}: {states:,} states, {of_level:,} to go on from, {rate:,.0f}/s"
            print(line, file=sys.stderr, flush=True)


def _print_one(case: Case, args) -> Exploration:
    limits = (args.most_states, args.most_mib << 20, _Told(), args.checkpoint)
    found = explore(case, *limits, reduced=not args.every_order)
    named = schedule_string(case, ()).rstrip(":")
    rate = found.states / max(found.seconds, 1e-9)
    if found.violation:
        verdict = f"violation of {PROPERTIES[found.violation]}"
    elif found.exhausted:
        verdict = "exhausted, no violation"
    else:
        verdict = "not exhausted, no violation so far"
    print(f"{named}: {verdict}")
    print(
        f"  {found.states:,} states of {found.state_bytes} bytes, {found.transitions:,} steps,"
        f" depth {found.depth}, {found.seconds:.1f} s, {rate:,.0f} states/s"
    )
    if found.violation:
        text = schedule_string(case, found.steps)
        _tell(text)
        print(f"  next: freehint explore --replay {text}")
    return found


def _print_random(case: Case, args) -> Chances:
    found = explore_at_random(case, args.random, args.pct, args.seed, args.steps)
    named = schedule_string(case, ()).rstrip(":")
    how = f"PCT of depth {found.depth}" if found.depth else "uniform"
    print(f"{named}: {found.schedules:,} schedules at random, {how}, seed {found.seed}")
    rate = found.transitions / max(found.seconds, 1e-9)
    print(f"  {found.transitions:,} steps, {found.seconds:.1f} s, {rate:,.0f} steps/s")
    for end, (number, first) in found.ends.items():
        print(f"  {number:,} with a violation of {PROPERTIES[end]}, the first is number {first:,}")
    if found.depth:
        print(f"  a bug of this depth is found in one of {1 / found.bound:,.0f} schedules, or more")
    if not found.violation:
        print("  no violation")
        return found
    text = schedule_string(case, found.steps)
    print(f"  as found, {len(found.found)} steps: {schedule_string(case, found.found)}")
    print(f"  shortened to {len(found.steps)} steps:")
    _tell(text)
    print(f"  next: freehint explore --replay {text}")
    return found


def _tell(text: str) -> int:
    came_to = FINE
    for number, (sentence, now) in enumerate(replay(text), 1):
        print(f"  {number:3} {sentence}")
        came_to = came_to or now
    return came_to


def print_replay(text: str) -> bool:
    """Play one schedule, and tell what it violates."""
    came_to = _tell(text)
    print(PROPERTIES.get(came_to, "no violation"))
    return came_to == FINE
