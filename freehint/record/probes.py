"""The probes of a recording: for each kernel series the functions, and the registers of arguments.

A kprobe's arguments have the names of the trace's columns, so that
:mod:`freehint.formats.traces.text` reads their rows as they are.  A ``struct page *`` becomes a pfn
in the kernel itself: no bit of ``vmemmap_base`` below 38 is set, and a ``struct page`` has 64
bytes, so bits 6 to 37 of the address are the pfn.

Sources: Documentation/trace/kprobetrace.rst (bit fields); mm/page_alloc.c of the series.
"""

import re
from pathlib import Path
from typing import NamedTuple

from freehint.config import InputError
from freehint.inputs.reading import reading

GROUP = "fh"
PAGE = "b32@6/64"  # a struct page * as its pfn
ZONE = "b31@0/64"  # a struct zone * as its low 31 bits, which meta.json has too
# The tracepoints in events/kmem that the replay needs.
TRACEPOINTS = (
    *("mm_page_alloc", "mm_page_free", "mm_page_free_batched", "mm_page_alloc_zone_locked"),
    *("mm_page_pcpu_drain", "mm_page_alloc_extfrag"),
)
# Those that tell when compaction begins, and which lists it turned; a kernel has some of them.
COMPACTION = (
    *("compaction/mm_compaction_begin", "compaction/mm_compaction_end"),
    "compaction/mm_compaction_fast_isolate_freepages",
)
# The release of Debian that has a series, where it may not be this machine's.
SUITES = {"5.10": "bullseye"}


class Probe(NamedTuple):
    """A kprobe at the entry of a function, or at its return.

    event : str       its name in the trace
    function : str    the symbol, with the compiler's suffix if its registers depend on it
    arguments : str   column=%register:type or column=$retval:type; "" for none
    """

    event: str
    function: str
    arguments: str = ""

    def line(self) -> str:
        """The line for tracefs' ``kprobe_events``."""
        kind = "r" if "$retval" in self.arguments else "p"
        return f"{kind}:{GROUP}/{self.event} {self.function} {self.arguments}".rstrip()


# x86-64 passes arguments in di, si, dx, cx, r8, r9.  __free_one_page() is inlined everywhere and
# hence cannot be probed: its callers are.
SAME = (
    Probe("set_pbmt", "set_pageblock_migratetype", f"pfn=%di:{PAGE} migratetype=%si:s32"),
    Probe("isolate", "__isolate_free_page", f"pfn=%di:{PAGE} order=%si:u32"),
    Probe("isolate_ret", "__isolate_free_page", "a=$retval:s32"),
    Probe(
        "putback", "__putback_isolated_page", f"pfn=%di:{PAGE} order=%si:u32 migratetype=%dx:s32"
    ),
    Probe("unreserve", "unreserve_highatomic_pageblock"),
    Probe("move_block_ret", "move_freepages_block", "a=$retval:s32"),
)
# From 5.17 on a drain begins with a list; before it is told the zone.
DRAIN = Probe("drain", "free_pcppages_bulk", "a=%si:s32 b=%cx:s32")
DRAIN_OF_ZONE = Probe("drain", "free_pcppages_bulk", f"a=%si:s32 b=%di:{ZONE}")
DRAIN_ZONE = Probe("drain_zone", "drain_pages_zone", f"a=%si:{ZONE} b=%di:s32")
PROBES = {
    "5.10": (
        *SAME,
        DRAIN_OF_ZONE,
        Probe(
            "steal",
            "steal_suitable_fallback",
            f"pfn=%si:{PAGE} b=%dx:u32 migratetype=%cx:s32 a=%r8:u8",
        ),
        Probe("move_block", "move_freepages_block", f"pfn=%si:{PAGE} migratetype=%dx:s32"),
        Probe(
            "free_direct",
            "free_one_page",
            "pfn=%dx:u64 order=%cx:u32 migratetype=%r8:s32 a=%r9:u32",
        ),
    ),
    "6.1": (
        *SAME,
        DRAIN,
        Probe(
            "steal",
            "steal_suitable_fallback",
            f"pfn=%si:{PAGE} b=%dx:u32 migratetype=%cx:s32 a=%r8:u8",
        ),
        Probe("move_block", "move_freepages_block", f"pfn=%si:{PAGE} migratetype=%dx:s32"),
        Probe(
            "free_direct",
            "free_one_page.constprop.0",
            "pfn=%dx:u64 order=%cx:u32 migratetype=%r8:s32",
        ),
        Probe("free_ok", "__free_pages_ok", f"pfn=%di:{PAGE} order=%si:u32 a=%dx:u32"),
        Probe("bulk", "rmqueue_bulk", "order=%si:u32 a=%dx:u32 migratetype=%r8:s32 b=%r9:u32"),
        DRAIN_ZONE,
        Probe("bulk_alloc", "__alloc_pages_bulk", "gfp=%di:x32 a=%cx:s32"),
        Probe("bulk_alloc_ret", "__alloc_pages_bulk", "a=$retval:s32"),
    ),
    "6.12": (
        *SAME,
        DRAIN,
        Probe(
            "steal",
            "try_to_steal_block",
            f"pfn=%si:{PAGE} a=%dx:s32 order=%cx:s32 migratetype=%r8:s32 b=%r9:u32",
        ),
        Probe("steal_ret", "try_to_steal_block", f"pfn=$retval:{PAGE}"),
        Probe("claim_block", "__move_freepages_block", "pfn=%si:u64 b=%dx:s32 migratetype=%cx:s32"),
        Probe("claim_block_ret", "__move_freepages_block", "a=$retval:s32"),
        Probe(
            "move_block", "move_freepages_block", f"pfn=%si:{PAGE} b=%dx:s32 migratetype=%cx:s32"
        ),
        Probe("free_direct", "free_one_page", "pfn=%dx:u64 order=%cx:u32 a=%r8:u32"),
        Probe("decay", "decay_pcp_high", f"a=%di:{ZONE}"),
        DRAIN_ZONE,
        Probe("bulk_alloc", "alloc_pages_bulk_noprof", "gfp=%di:x32 a=%cx:s32"),
        Probe("bulk_alloc_ret", "alloc_pages_bulk_noprof", "a=$retval:s32"),
    ),
}
# Free page reporting: one report to the host, a function of virtio_balloon; a pass that begins.
REPORTING = (
    Probe("rep", "virtballoon_free_page_report"),
    Probe("proc", "page_reporting_process"),
)
# Without these a replay does not know that a block left or joined the lists.
NEEDED = {
    "5.10": {"isolate", "isolate_ret", "putback", "free_direct", "drain"},
    "6.1": {"isolate", "putback", "free_direct"},
    "6.12": {"isolate", "isolate_ret", "putback", "free_direct", "decay", "drain_zone"},
}


class Chosen(NamedTuple):
    """The probes for one kernel.

    probes : tuple of Probe    those that its symbols allow
    missing : tuple of Probe   those of its series whose function it lacks
    """

    probes: tuple
    missing: tuple


def series_of(release: str) -> str:
    """The series of a kernel release, for instance "6.1" of "6.1.0-57-cloud-amd64".

    Raises
    ------
    InputError
        There are no probes for it.
    """
    match = re.match(r"(\d+\.\d+)(?!\d)", release)
    if not match or match[1] not in PROBES:
        raise InputError(
            f"kernel {release}: there are probes for {', '.join(PROBES)} only;"
            " freehint/record/probes.py lists them by series"
        )
    return match[1]


def read_symbols(path: Path) -> set[str]:
    """The names of the functions in a ``System.map``.

    Raises
    ------
    InputError
        The file is missing or has no functions, as the stub that Debian's image package holds.
    """
    with reading(path):
        lines = path.read_text().splitlines()
    words = [line.split() for line in lines]
    names = {word[2] for word in words if len(word) >= 3 and word[1] in "tTwW"}
    if not names:
        raise InputError(f"{path}: lists no functions; the real one is in the -dbg package")
    return names


def choose_probes(release: str, symbols: set[str]) -> Chosen:
    """The probes that a kernel's symbols allow.

    Parameters
    ----------
    release : str
        Such as "6.1.0-57-cloud-amd64".
    symbols : set of str
        The names of the kernel's functions.

    Raises
    ------
    InputError
        There are no probes for the series, or a probe that every replay needs has no function.
    """
    series = series_of(release)
    probes = [probe for probe in PROBES[series] if probe.function in symbols]
    missing = [probe for probe in PROBES[series] if probe.function not in symbols]
    for probe in missing:
        if probe.event in NEEDED[series]:
            stem = probe.function.partition(".")[0]
            near = sorted(name for name in symbols if name.partition(".")[0] == stem)
            raise InputError(
                f"kernel {release}: has no function {probe.function}, which the probe"
                f" {probe.event!r} needs" + (f"; it has {', '.join(near)}" if near else "")
            )
    return Chosen(tuple(probes), tuple(missing))
