"""Hostile policies, drawn by seed: verbs that answer wrongly, damage the memory or raise."""

import numpy as np

import freehint as fh
from fuzzing.corpora import SIZE
from fuzzing.judge import require
from policies.test_hostile import ANSWERS, CANARIES, DAMAGE, keep, one, spoils

QUICK = {"memory": SIZE, "duration_ns": 3_000_000, "walk_at_ns": 0}
ERRORS = (KeyError, ValueError, MemoryError, RecursionError, StopIteration, AssertionError)
NUMBERS = (
    *(-1, 0, 1, 2, 7, 31, 32, 33, 1024, 1 << 31, (1 << 62), (1 << 63) - 1, 1 << 64, -(1 << 63)),
    *(0.5, float("nan"), float("inf"), True, None, "1", (), [1], np.int64(3), np.float64(1)),
    *(np.uint64((1 << 64) - 1), np.zeros(2), b"x", complex(1, 2), 10**5000),
)


def verb_of(stream):
    """One verb by name, with something wrong in it."""
    kind = stream.randrange(7)
    if kind == 0:
        return dict(stream.choice(list(ANSWERS.values()))[0])
    if kind == 1:
        return spoils(stream.choice(list(DAMAGE.values())))
    if kind == 2:
        return dict(stream.choice(list(CANARIES.values())))
    if kind == 3:
        error, verb = stream.choice(ERRORS), stream.choice(("fill", "drain", "next_zone"))
        return {verb: late(stream, raising(error), {"fill": one, "drain": keep}.get(verb, first))}
    if kind == 4:
        answer = stream.choice(NUMBERS), stream.choice(NUMBERS)
        return {"fill": late(stream, lambda *_: answer, one)}
    if kind == 5:
        answer = stream.choice(NUMBERS)
        verb, honest = stream.choice((("drain", keep), ("next_zone", first)))
        return {verb: late(stream, lambda *_: answer, honest)}
    return {"fill": rows(stream)}


def first(*_):
    """A next_zone that walks no zone."""
    return -1


def raising(error):
    """A verb that raises."""

    def verb(*_):
        raise error("of its own")

    return verb


def late(stream, bad, honest):
    """A verb that is honest for some calls."""
    left = stream.choice((0, 0, 1, 3))

    def verb(*arguments):
        nonlocal left
        left -= 1
        return honest(*arguments) if left >= 0 else bad(*arguments)

    return verb


def rows(stream):
    """A fill that writes rows of drawn numbers."""
    written = [
        [stream.choice((0, 1, -1, 5, 10, 77, 512, 10**9, 1 << 62)) for _ in range(3)]
        for _ in range(stream.randrange(1, 5))
    ]
    count = stream.choice((len(written), len(written), 1, 32))

    def fill(memory, state, zone, report, capacity):
        report[: len(written)] = written
        return count, stream_end

    stream_end = stream.choice((0, 1))
    return fill


def draw_policy(stream):
    """A policy with one or two hostile verbs."""
    verbs = {"fill": one, "drain": keep}
    for _ in range(stream.randrange(1, 3)):
        verbs |= verb_of(stream)
    return verbs, ("policy hostile: ", "policy.")


def run_policy(verbs):
    """A short run with the policy."""
    return fh.simulate(fh.Scenario(policy=fh.Policy("hostile", **verbs), **QUICK))


def sound_end(run, folder) -> None:
    """The memory holds its invariants, and no time or count of the summary is negative."""
    fh.check_memory(run.memory)
    for name, value in run.summary.items():
        if isinstance(value, int):
            require(-1 <= value < 1 << 50, f"{name} is {value}")
