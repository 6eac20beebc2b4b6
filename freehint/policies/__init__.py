"""Every policy by name.  A new policy needs a file of its own and a line in POLICIES."""

from dataclasses import replace

from freehint.config import InputError, one_of
from freehint.mm.memory import NR_USERS
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.call_five_step import CallFiveStep
from freehint.policies.call_walker import CallWalker
from freehint.policies.compact_report import CompactReport
from freehint.policies.five_step import FiveStep
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Policy
from freehint.policies.promise import ONCE, Promise
from freehint.policies.walker import Walker

# The legacy baseline gives no hints.
BASELINE = Policy("none", colour="grey", mark="o", promise=ONCE, knobs=())

POLICIES = {
    "none": BASELINE,
    # As posted in January 2018: one call walks every list, and a full ring loses the hint.  It
    # promises nothing more, because a full ring loses hints, and because a pageblock may change its
    # type between two lists.  Its blocks then move to a list that was walked before and are missed,
    # or to a later list and are met again.  (Rare: 1 and 6 of 600,000 blocks in 1,000 histories.)
    "v24": Walker(
        "v24",
        rotate="never",
        resume="restart",
        lock="per_list",
        on_full="lose",
        colour="sky",
        mark="v",
    ),
    # June 2018: only the largest blocks.  Their addresses go into an array under one hold of the
    # zone's lock and are reported from there.  The array is a copy, so no block is met again.
    "v33": Walker(
        "v33",
        rotate="never",
        resume="restart",
        lock="per_zone",
        report="unlocked",
        on_full="lose",
        min_order=10,
        colour="purple",
        mark="<",
        promise=Promise("offered", True),
    ),
    # "collect reported pages and then move them to tail when we exit"; "scan until we see A".
    # It promises nothing more: if A is consumed, the walk ends after one lap, in which some blocks
    # are met again and others never.
    "rotate_on_exit": Walker(
        "rotate_on_exit",
        rotate="on_exit",
        resume="scan_for_first",
        on_full="stop",
        colour="orange",
        mark=">",
    ),
    # A bookmark in the list answers "where could we continue?"; no block is moved.  The bookmark
    # always stays in its place, but a pageblock that changes its type moves blocks past it, so
    # this policy promises nothing more.
    "restartable_cursor": Walker(
        "restartable_cursor",
        rotate="never",
        resume="cursor",
        on_full="stop",
        colour="yellow",
        mark="P",
    ),
    # "hold a lock and just block whoever wanted to use any pages".  It does one stroke per zone, in
    # which nobody else can change the lists.
    "hold_the_lock": Walker(
        "hold_the_lock",
        rotate="never",
        resume="restart",
        lock="whole_walk",
        on_full="wait",
        colour="vermilion",
        mark="X",
        promise=Promise("taken", True),
    ),
    # "How about the following scheme": callback, private list, report, back at the tail.
    "five_step": FiveStep(),
    # Merged in 4.20; it does not walk at all.
    "balloon_alloc": BalloonAlloc(),
    # Since 5.7: it reports all the time, a little at a time.
    "page_reporting": PageReporting(),
}
# What agents in guests do beside the kernel's policies; comparisons of the nine leave it out.
AGENTS = {"compact_report": CompactReport()}
# Kinds of policies of which none is listed above: those that a real kernel was recorded with.
CALLED = (CallWalker, CallFiveStep)
# Versions of the thread that are not policies of their own, and the reasons.
REFUSED = {
    "v25": "walks as v24 and only returns another value: see fh.walk_free_mem_block and fh.v24"
}


def find_policy(policy) -> Policy:
    """A policy by name, or the policy itself.

    Raises
    ------
    InputError
        There is no policy of that name.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, str) and policy in REFUSED:
        raise InputError(f"policy {policy!r} {REFUSED[policy]}")
    named = POLICIES | AGENTS
    one_of("policy", policy, named)
    return named[policy]


def find_policies(policy) -> tuple:
    """The policies of a scenario, one or several, numbered as users.

    Raises
    ------
    InputError
        A policy is not known, there are too many, or two need a hook that takes one user.
    """
    several = tuple(policy) if isinstance(policy, list | tuple) else (policy,)
    users = [find_policy(one) for one in several]
    users = [one for one in users if one.fill is not None]
    if len(users) > NR_USERS:
        raise InputError(f"policy must be at most {NR_USERS} users at once, got {len(users)}")
    if sum(one.delay_ns is not None for one in users) > 1:
        raise InputError("policy: free page reporting takes one user; a second gets EBUSY")
    if sum(one.on_empty is not None for one in users) > 1:
        raise InputError("policy: the callback on an empty list takes one user")
    return tuple(replace(one, user=number) for number, one in enumerate(users))
