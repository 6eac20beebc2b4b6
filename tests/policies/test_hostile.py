"""Policies of other people that answer wrongly, write where they must not, or do not come back."""

from dataclasses import replace

import pytest

import freehint as fh
from freehint.mm.list import list_del_init, list_next
from freehint.mm.memory import MOVABLE, free_list_head
from freehint.policies.walk import drain


@fh.kernel
def drain_that_loses(memory, state, zone, report, n, outcome):
    """Settle a stroke as the walker does, then forget the first free block of order 10."""
    moved = drain(memory, state, zone, report, n, outcome)
    node = list_next(memory.links, free_list_head(memory, zone, 10, MOVABLE))
    if node < memory.nr_pages:
        list_del_init(memory.links, node)
        memory.frame[node] = 0
        memory.nr_free[zone, 10, MOVABLE] -= 1
        memory.zones[zone].nr_free_pages -= 1024
    return moved


def test_one_verb_of_ones_own_is_enough_to_be_checked():
    policy = replace(fh.POLICIES["v24"], name="half", drain=drain_that_loses)
    with pytest.raises(fh.InvariantError, match=r"^policy half: drain: .* pages were free"):
        fh.simulate(fh.Scenario(memory="64MiB", policy=policy))
