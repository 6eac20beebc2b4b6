"""Every policy by name.  Adding one: its file, and a line in POLICIES."""

from dataclasses import replace

from freehint.config import InputError
from freehint.mm.memory import NR_USERS
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.five_step import FiveStep
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Policy
from freehint.policies.promise import ONCE, Promise
from freehint.policies.walker import Walker

# The legacy baseline: no hint at all.
BASELINE = Policy("none", colour="grey", mark="o", promise=ONCE, knobs=())

POLICIES = {
    "none": BASELINE,
    # As posted in January 2018: one call walks every list, a full ring loses the hint.  Nothing is
    # promised: a full ring loses hints, and between two lists a pageblock may change its type; its
    # blocks move to lists that were walked before, and are missed, or to one that was not, and are
    # met again.  Rare: 1 and 6 of 600,000 in 1,000 histories.
    "v24": Walker(
        "v24",
        rotate="never",
        resume="restart",
        lock="per_list",
        on_full="lose",
        colour="sky",
        mark="v",
    ),
    # June 2018: the largest blocks alone, a zone's addresses into an array under one hold of the
    # lock, reported from there.  The array is a copy, so nothing is met again.
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
    # Nothing is promised: once A is consumed the walk ends after one lap, in which blocks are met
    # again and others never.
    "rotate_on_exit": Walker(
        "rotate_on_exit",
        rotate="on_exit",
        resume="scan_for_first",
        on_full="stop",
        colour="orange",
        mark=">",
    ),
    # A bookmark in the list answers "where could we continue?"; nothing is moved.  The bookmark
    # stands whatever happens, but a type that changes moves blocks over it: nothing is promised.
    "restartable_cursor": Walker(
        "restartable_cursor",
        rotate="never",
        resume="cursor",
        on_full="stop",
        colour="yellow",
        mark="P",
    ),
    # "hold a lock and just block whoever wanted to use any pages".  Nobody can change the lists
    # during its one stroke a zone.
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
    # What was merged in 4.20: no walk at all.
    "balloon_alloc": BalloonAlloc(),
    # 5.7 on: all the time, a little at a time.
    "page_reporting": PageReporting(),
}
# Versions of the thread that are no policy of their own, and why.
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
    if not isinstance(policy, str) or policy not in POLICIES:
        raise InputError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
    return POLICIES[policy]


def find_policies(policy) -> tuple:
    """The users of a scenario: one policy, or several at once, numbered.

    Raises
    ------
    InputError
        A policy is not known, there are too many, or two want what the kernel gives to one.
    """
    several = tuple(policy) if isinstance(policy, list | tuple) else (policy,)
    users = [find_policy(one) for one in several]
    users = [one for one in users if one.fill is not None]
    if len(users) > NR_USERS:
        raise InputError(f"policy must be at most {NR_USERS} users at once, got {len(users)}")
    if sum(one.delay_ns is not None for one in users) > 1:
        raise InputError("policy: free page reporting takes one user, a second gets EBUSY")
    if sum(one.on_empty is not None for one in users) > 1:
        raise InputError("policy: the callback on an empty list takes one user")
    return tuple(replace(one, user=number) for number, one in enumerate(users))
