"""Rules of the walkers made wrong on purpose, to show that a recording notices it.

Each takes a policy with the right rules and returns a copy in which some verbs are wrapped.
"""

from dataclasses import replace

from freehint.mm.buddy import page_is_buddy
from freehint.mm.list import list_move, list_move_tail
from freehint.mm.memory import (
    USER_LIST,
    Memory,
    frame_order,
    frame_type,
    free_list_head,
    list_nodes,
    page_zone,
    user_node,
)
from freehint.policies.policy import Outcome, Policy
from freehint.policies.walk_state import AT_LIST, K_ROTATE, NEVER_ROTATE, user_mark, walked_list
from freehint.replay.walker.knobs import CURSOR, FIVE_STEP, SCAN_FOR_FIRST


def no_rotation(policy: Policy) -> Policy:
    """Leave the blocks taken in their places."""

    right = policy.drain

    def drain(memory, state, *arguments):
        state.knob[K_ROTATE] = NEVER_ROTATE
        return right(memory, state, *arguments)

    return replace(policy, drain=drain)


def reverse_order(policy: Policy) -> Policy:
    """Move the blocks taken to the tail in reverse order."""
    return _moved_again(policy, list_move_tail, backwards=True)


def to_the_head(policy: Policy) -> Policy:
    """Move the blocks taken to the head, instead of the tail."""
    return _moved_again(policy, list_move, backwards=False)


def _moved_again(policy: Policy, move, backwards: bool) -> Policy:
    right = policy.drain

    def drain(memory, state, zone, report, n, outcome):
        moved = right(memory, state, zone, report, n, outcome)
        taken = report[:n, 0][outcome == Outcome.TAKEN].tolist()
        for node in reversed(taken) if backwards else taken:
            move(memory.links, node, _head_of(memory, node))
        return moved

    return replace(policy, drain=drain)


def _head_of(memory: Memory, node: int) -> int:
    frame = int(memory.frame[node])
    return free_list_head(memory, page_zone(memory, node), frame_order(frame), frame_type(frame))


def first_by_pfn(policy: Policy) -> Policy:
    """Know A by its pfn and order, also if it left its list and came back."""

    right = policy.fill

    def fill(memory, state, *arguments):
        i = int(state.at[AT_LIST])
        first, order = int(state.first[i]), walked_list(state, i)[0]
        if state.begun[i] and first >= 0 and page_is_buddy(memory, first, order):
            memory.frame[first] |= user_mark(state)
        return right(memory, state, *arguments)

    return replace(policy, fill=fill)


def lost_cursor(policy: Policy) -> Policy:
    """Begin each stroke at the head of its list."""

    right = policy.fill

    def fill(memory, state, *arguments):
        state.place[:] = 0
        return right(memory, state, *arguments)

    return replace(policy, fill=fill)


def no_interrupt(policy: Policy) -> Policy:
    """Never do step 5."""
    return replace(policy, on_empty=lambda *arguments: 0)


def putback_to_head(policy: Policy) -> Policy:
    """Put blocks back at the head of their lists, instead of the tail."""

    def wrong(verb):
        def at_head(memory, state, *arguments):
            private = user_node(memory, policy.user, USER_LIST)
            held = {node: frame_order(memory.frame[node]) for node in list_nodes(memory, private)}
            moved = verb(memory, state, *arguments)
            for node, order in held.items():
                if page_is_buddy(memory, node, order):
                    list_move(memory.links, node, _head_of(memory, node))
            return moved

        return at_head

    return replace(policy, drain=wrong(policy.drain), on_empty=wrong(policy.on_empty))


ABLATIONS = {
    "no_rotation": no_rotation,
    "reverse_order": reverse_order,
    "to_the_head": to_the_head,
    "first_by_pfn": first_by_pfn,
    "lost_cursor": lost_cursor,
    "putback_to_head": putback_to_head,
    "no_interrupt": no_interrupt,
}


def ablations_of(knobs: dict[str, int]) -> list[str]:
    """The names of the ablations that make a rule wrong which a walk with these knobs uses."""
    if knobs[FIVE_STEP]:
        return ["putback_to_head", "no_interrupt"] if knobs["trigger"] else ["putback_to_head"]
    names = ["no_rotation", "reverse_order", "to_the_head"] if knobs["rotate"] else []
    by_resume = {SCAN_FOR_FIRST: ["first_by_pfn"], CURSOR: ["lost_cursor"]}
    return names + by_resume.get(knobs["resume"], [])
