"""Every policy by name.  Adding one: its file, and a line in POLICIES."""

from dataclasses import replace

from freehint.config import InputError
from freehint.mm.memory import NR_USERS
from freehint.policies.balloon_alloc import BalloonAlloc
from freehint.policies.five_step import FiveStep
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Policy
from freehint.policies.walker import Walker

POLICIES = {
    # The legacy baseline: no hint at all.
    "none": Policy("none"),
    # As posted in January 2018: one call walks every list, a full ring loses the hint.
    "v24": Walker("v24", rotate="never", resume="restart", lock="per_list", on_full="lose"),
    # June 2018: the largest blocks alone, a zone's addresses into an array under one hold of the
    # lock, reported from there.
    "v33": Walker(
        "v33",
        rotate="never",
        resume="restart",
        lock="per_zone",
        report="unlocked",
        on_full="lose",
        min_order=10,
    ),
    # "collect reported pages and then move them to tail when we exit"; "scan until we see A".
    "rotate_on_exit": Walker(
        "rotate_on_exit", rotate="on_exit", resume="scan_for_first", on_full="stop"
    ),
    # A bookmark in the list answers "where could we continue?"; nothing is moved.
    "restartable_cursor": Walker(
        "restartable_cursor", rotate="never", resume="cursor", on_full="stop"
    ),
    # "hold a lock and just block whoever wanted to use any pages".
    "hold_the_lock": Walker(
        "hold_the_lock", rotate="never", resume="restart", lock="whole_walk", on_full="wait"
    ),
    # "How about the following scheme": callback, private list, report, back at the tail.
    "five_step": FiveStep(),
    # What was merged in 4.20: no walk at all.
    "balloon_alloc": BalloonAlloc(),
    # 5.7 on: all the time, a little at a time.
    "page_reporting": PageReporting(),
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
    if policy == "v25":
        raise InputError(
            "policy 'v25' walks as 'v24' does, and only returns another value: see"
            " fh.walk_free_mem_block"
        )
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
