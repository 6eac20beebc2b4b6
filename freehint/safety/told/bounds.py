"""The bounds of a case in words."""

from freehint.safety.bugs import BUGS
from freehint.safety.case import Case

HOW_CLEARED = {
    "G1": "cleared at each sync",
    "G2": "cleared before a page is sent",
    "G3": "cleared before a page is sent and for a hint",
}


WALK_ENDS = {
    "fair": "though only worker and host act",
    "alone": "though only the worker acts",
}


def number(n: int, thing: str) -> str:
    """A number of things: ``2 rounds``."""
    return f"{n} {thing}" + ("" if n == 1 else "s")


def bounds_in_words(case: Case) -> dict:
    """What was explored, for people: label -> text.

    Parameters
    ----------
    case : Case
    """
    operations = "any number" if case.operations < 0 else f"at most {case.operations} in all"
    pages = f"{len(case.frames)} pages"
    if case.watched >= 0:
        pages += f"; content and dirty bits of page {case.watched} alone, or of its chunk"
    host = "discards the pages of a used hint" if case.discard else "keeps the memory"
    if case.fine_host:
        host += "; the guest may act while it uses a buffer"
    log = f"{case.generation}: {HOW_CLEARED[case.generation]}"
    log += f", {number(1 << case.chunk, 'page')} at a time" if case.generation != "G1" else ""
    log += "; all pages dirty at first" if case.initially_set else ""
    stroke = f"strokes of up to {number(case.capacity, 'block')}"
    report = case.made_policy().report.replace("_", " ")
    found = {
        "policy": f"{case.chosen.name}, reports {report}",
        "guest": f"{pages}; {number(case.vcpus, 'vCPU')} with {number(case.blocks, 'block')} each",
        "operations of the guest": operations,
        "ring": number(case.ring, "descriptor"),
        "hints": f"{number(case.rounds, 'round')}, {stroke}",
        "dirty log": log,
        "host": host,
    }
    if case.full_ring != "own":
        found["ring"] += f"; if it is full: {case.full_ring}"
    if case.postcopy:
        found["migration"] = "the guest may go on at the destination early"
    if case.snapshot:
        drained = ", once all hints on the ring are used" if case.drain else ""
        found["snapshot"] = f"the vCPUs are paused{drained}"
    if case.chosen.delay_ns is not None:
        found["hints"] = f"{stroke}, of order {case.report_order} or more, by itself"
        found["hints"] += (
            f" while more than {number(case.gate, 'page')} are free" if case.gate else ""
        )
    if case.switch:
        found["enable switch"] = "may be turned off and on again"
    asked = ["a hint that counts has its effect (P9)"] if case.effect else []
    asked += [f"a walk ends, {WALK_ENDS[case.ends]} (P6)"] if case.ends in WALK_ENDS else []
    rules = "MUSTs and SHOULDs" if case.shoulds else "MUSTs"
    asked += [f"the {rules} of the virtio specification (P4)"] if case.spec else []
    if asked:
        found["asked besides"] = "; ".join(asked)
    if case.bug in BUGS:
        found["bug put back"] = case.bug
    return found
