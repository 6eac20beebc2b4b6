"""Which mails, commits, papers and recordings stand behind a run.

They are found from the run's provenance alone, so a stored run cites what a new one does.
:data:`freehint.runs.cited.sources.SOURCES` holds what is cited; the tables here tell which part
uses it.
"""

import pandas as pd

from freehint.engine.world.records import Costs
from freehint.runs.cited.sources import SOURCES

# A walker by the positions of its knobs; what is not here is v24's.
WALKER = {
    ("rotate", "each_report"): ("tsirkin2018rotate",),
    ("rotate", "on_exit"): ("tsirkin2018rotate",),
    ("resume", "scan_for_first"): ("tsirkin2018lock",),
    ("resume", "scan_for_mark"): ("tsirkin2018lock",),
    ("resume", "newest_report"): ("wang2018restart",),
    ("resume", "cursor"): ("tsirkin2018rotate", "wang2018restart"),
    ("resume", "host_feedback"): ("tsirkin2018lock",),
    ("lock", "per_batch"): ("tsirkin2018rotate",),
    ("lock", "whole_walk"): ("tsirkin2018lock",),
    ("lock", "per_zone"): ("wang2018v33",),
}
POLICY_KINDS = {
    "Policy": ("wang2018legacy",),  # "none": the legacy migration that hints are compared with
    "Walker": ("wang2018v24",),
    "CallWalker": ("wang2018v24", "freehint2026walkers"),
    "FiveStep": ("tsirkin2018steps",),
    "CallFiveStep": ("tsirkin2018steps", "freehint2026walkers"),
    "BalloonAlloc": ("wang2018hint", "torvalds2018allocate"),
    "PageReporting": ("duyck2020reporting",),
}
KERNELS = {
    "4.15": ("linux4.15",),
    "5.10": ("linux5.10", "hildenbrand2020tail"),
    "6.1": ("linux6.1", "hildenbrand2020tail", "gorman2021pcp"),
    "6.12": ("linux6.12", "gorman2021pcp", "huang2023high", "weiner2024hygiene", "weiner2025steal"),
    "7.3": ("linux7.3", "gorman2021pcp", "huang2023high", "weiner2024hygiene", "weiner2025steal"),
}
GENERATIONS = {
    "G1": ("clark2005live", "qemuram"),
    "G2": ("clark2005live", "qemuram", "xu2019clear", "xu2019bitmap"),
    "G3": ("clark2005live", "qemuram", "xu2019clear", "xu2019bitmap", "wang2021bitmap"),
}
RECORDINGS = {
    f"linux-{kernel}": f"freehint2026linux{kernel}" for kernel in ("5.10", "6.1", "6.12", "7.3")
}
# Costs that are not assumed.
COSTS = {
    "walk_block_ns": "freehint2026speed",
    "buddy_ns": "freehint2026speed",
    "write_ns": "wrenger2025hyperalloc",
}
NOT_OURS = "not freehint's: cite its author"


def citations(runs) -> pd.DataFrame:
    """What stands behind runs, for a paper or a report that uses them.

    Parameters
    ----------
    runs : Run, or sequence of Run

    Returns
    -------
    DataFrame
        One row per source, with its key as index: used_for (the parts that use it), citation, link
        (an address, or a path in freehint's repository).  A part that is not freehint's, such as
        your own policy or recording, has a row with an empty key and link.

    Examples
    --------
    >>> import freehint as fh
    >>> run = fh.simulate(fh.Scenario(memory="64MiB", policy="five_step", duration_ns=1_000_000))
    >>> fh.citations(run).loc["tsirkin2018steps", "link"]
    'https://lore.kernel.org/r/20180126233950-mutt-send-email-mst@kernel.org'
    """
    rows = {}
    for run in _listed(runs):
        for used_for, key in _parts(run.provenance):
            at = (key, "" if key else used_for)
            uses = rows.setdefault(at, [])
            if used_for not in uses:
                uses.append(used_for)
    table = [(key, ", ".join(uses), *_told(key)) for (key, _), uses in rows.items()]
    columns = ["key", "used_for", "citation", "link"]
    return pd.DataFrame(table, columns=columns).set_index("key")


def bibtex(runs) -> str:
    """The sources behind runs as BibTeX entries.

    Parameters
    ----------
    runs : Run, or sequence of Run

    Examples
    --------
    >>> import freehint as fh
    >>> run = fh.simulate(fh.Scenario(memory="64MiB", policy="none", duration_ns=1_000_000))
    >>> print(fh.bibtex(run).split("}")[0])
    @misc{freehint,
      author = {{the freehint developers
    """
    return "\n\n".join(_entry(key) for key in citations(runs).index if key)


def _listed(runs) -> list:
    return [runs] if hasattr(runs, "provenance") else list(runs)


def _told(key: str) -> tuple[str, str]:
    return (SOURCES[key].text, SOURCES[key].link) if key else (NOT_OURS, "")


def _parts(provenance: dict):
    """The parts of a run with the key of a source for each, one after another."""
    told = provenance["parameters"]
    yield f"freehint {provenance['freehint']}", "freehint"
    policies = told["policy"] if isinstance(told["policy"], list) else [told["policy"]]
    for policy in policies:
        for used_for, key in _policy(policy):
            yield f"policy {policy['name']}{used_for}", key
    for key in KERNELS[provenance["kernel_profile"]]:
        yield f"kernel {provenance['kernel_profile']}", key
    yield from _recordings(told)
    kinds = {policy["kind"] for policy in policies} - {"Policy"}
    if kinds:
        yield "ring", "virtio1.3"
        yield "host", "qemuballoon"
    if told["host"]["discard"]:
        for kind in sorted(kinds):
            yield "host that discards", "qemudiscard" if kind == "PageReporting" else "firecracker"
    if told["migration"]:
        generation = told["migration"]["generation"]
        for key in GENERATIONS[generation]:
            yield f"migration {generation}", key
    defaults = Costs()
    for name, key in COSTS.items():
        if told["costs"][name] == getattr(defaults, name):
            yield f"cost {name}", key


def _policy(policy: dict):
    """The sources of a policy, and of the positions of a walker's knobs."""
    kind = policy["kind"]
    for key in POLICY_KINDS.get(kind, ("",)):
        yield "", key
    if kind in ("Walker", "CallWalker"):
        for (knob, position), keys in WALKER.items():
            if policy[knob] == position:
                yield from ((f" ({knob} {position})", key) for key in keys)


def _recordings(told: dict):
    """The recordings that the guest's memory and its load come from."""
    workload = told["workload"]
    for used_for, name in (
        ("memory", told["memory"]),
        ("load", workload.get("trace") or workload.get("recording")),
    ):
        folders = [one for one in RECORDINGS if one in str(name).split("/")]
        if folders:
            yield f"{used_for} {name}", RECORDINGS[folders[0]]
        elif name and "/" in name:
            yield f"{used_for} {name}", ""
    if workload["kind"] == "Program":
        yield f"load {workload['state']}", RECORDINGS["linux-6.1"]


def _entry(key: str) -> str:
    source = SOURCES[key]
    names = [f"{{{name}}}" if source.is_group(name) else name for name in source.authors]
    paper = "pp. " in source.where
    fields = {
        "author": " and ".join(names),
        "title": f"{{{_escaped(source.title)}}}",
        "booktitle" if paper else "howpublished": _escaped(source.where),
        "year": str(source.year),
        "url" if "://" in source.link else "note": source.link,
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{'inproceedings' if paper else 'misc'}{{{key},\n{lines}\n}}"


def _escaped(text: str) -> str:
    """A text in which LaTeX sees no command."""
    for sign in "&%#_":
        text = text.replace(sign, f"\\{sign}")
    return text
