"""Probes and tracepoints of reclaim and compaction, beside those of every recording.

An interrupt that comes in the handler of one kprobe loses the rows of others, and block I/O brings
interrupts.  So the probes ``drain`` and ``bulk`` are not set where other rows tell the same.

Sources: balance_pgdat() in mm/vmscan.c; move_freelist_tail(), move_freelist_head() and
fast_isolate_freepages() in mm/compaction.c; include/trace/events/vmscan.h.
"""

import struct
from pathlib import Path

from freehint.config import InputError
from freehint.record.kernels import Kernel
from freehint.record.probes import NEEDED, PAGE, Chosen, Probe, series_of

LEFT_OUT = {"drain", "bulk"}
TRACEPOINTS = (
    *("vmscan/mm_vmscan_kswapd_wake", "vmscan/mm_vmscan_kswapd_sleep"),
    *("vmscan/mm_vmscan_direct_reclaim_begin", "vmscan/mm_vmscan_direct_reclaim_end"),
    *("vmscan/mm_vmscan_lru_shrink_inactive", "vmscan/mm_vmscan_lru_shrink_active"),
    *("vmscan/mm_vmscan_write_folio", "oom/mark_victim"),
    *("compaction/mm_compaction_migratepages", "compaction/mm_compaction_isolate_freepages"),
)
PROBES = (
    Probe("kswapd_balance", "balance_pgdat", "order=%si:s32 a=%dx:s32"),
    Probe("kswapd_balance_ret", "balance_pgdat", "a=$retval:s32"),
    Probe("turn", "move_freelist_tail", f"pfn=%si:{PAGE}"),
)
# move_freelist_head() is inlined: its place, and the code that must stand there.  The block is the
# one in %dx.
UNKNOWN_PLACE = Probe("turn_head", "known place of move_freelist_head()")
PLACES = {
    "6.1": (
        Probe("turn_head", "compaction_alloc+0x2a6", f"pfn=%dx:{PAGE} order=%bx:u32"),
        bytes.fromhex("488d442448488d4a084889442450488d049b488d0443488d04c6"),
    ),
    "6.12": (
        Probe("turn_head", "compaction_alloc+0x46c", f"pfn=%dx:{PAGE} order=%r15:u32"),
        bytes.fromhex("488d4424584889442460483b7a1074784b8d0cbf4c8d5208"),
    ),
}
SHT_PROGBITS = 1


def reclaim_probes(chosen: Chosen, kernel: Kernel, symbols: set[str]) -> Chosen:
    """The probes of a recording under reclaim.

    Parameters
    ----------
    chosen : Chosen
        Those of every recording.
    kernel : Kernel
    symbols : set of str
        The names of the kernel's functions.
    """
    left_out = LEFT_OUT - NEEDED[series_of(kernel.release)]
    probes = [probe for probe in chosen.probes if probe.event not in left_out]
    missing = [probe for probe in chosen.missing if probe.event not in left_out]
    for probe in PROBES:
        (probes if probe.function in symbols else missing).append(probe)
    probe, code = PLACES.get(series_of(kernel.release), (UNKNOWN_PLACE, b""))
    function, _, offset = probe.function.partition("+")
    if function in symbols:
        at = address_of(kernel.symbols, function) + int(offset, 16)
        there = code_of(kernel.vmlinux, at, len(code)) == code
    else:
        there = False
    probes += [probe] * there
    missing += [UNKNOWN_PLACE] * (not there)
    return Chosen(tuple(probes), tuple(missing))


def address_of(symbols: Path, function: str) -> int:
    """The address of a function in a ``System.map``."""
    for line in symbols.read_text().splitlines():
        words = line.split()
        if words[2:] == [function]:
            return int(words[0], 16)
    raise InputError(f"{symbols}: has no function {function}")


def code_of(vmlinux: Path, address: int, size: int) -> bytes:
    """The bytes of a kernel's code at an address; b"" if the file has no code there.

    Raises
    ------
    InputError
        The file is no ELF file of 64 bits.
    """
    with open(vmlinux, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            raise InputError(f"{vmlinux}: is no ELF file of 64 bits")
        (table,) = struct.unpack_from("<Q", head, 0x28)
        entry, number = struct.unpack_from("<HH", head, 0x3A)
        file.seek(table)
        sections = file.read(entry * number)
        for at in range(0, len(sections), entry):
            kind, _, first, offset, length = struct.unpack_from("<IQQQQ", sections, at + 4)
            if kind == SHT_PROGBITS and first <= address < first + length:
                file.seek(offset + address - first)
                return file.read(size)
    return b""
