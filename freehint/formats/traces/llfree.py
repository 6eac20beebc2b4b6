"""Read LLFree's allocation traces, which consist of records of 128 bits.

Sources: LLFree's kernel, mm/llfree/size_counters.c (struct alloc_entry, alloc_entry_header,
alloc_entry_page, which writes them); llfree-rs, eval/src/bin/replay.rs (which reads them).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.traces.table import INT32_MAX, TRACE_COLUMNS, TraceAccount, TraceTable, finish
from freehint.mm.memory import MAX_ORDER, MOVABLE, RECLAIMABLE, UNMOVABLE

LLFREE_PAGE = 4096
LLFREE_RECORDS = 255  # per page, which begins with the CPU and padding
# ___GFP_* of 6.1 (include/linux/gfp_types.h), lowest bit first; PAGE_CACHE is LLFree's own.
LLFREE_GFP = (
    *("__GFP_DMA", "__GFP_HIGHMEM", "__GFP_DMA32", "__GFP_MOVABLE", "__GFP_RECLAIMABLE"),
    *("__GFP_HIGH", "__GFP_IO", "__GFP_FS", "__GFP_ZERO", "__GFP_ATOMIC", "__GFP_DIRECT_RECLAIM"),
    *("__GFP_KSWAPD_RECLAIM", "__GFP_WRITE", "__GFP_NOWARN", "__GFP_RETRY_MAYFAIL"),
    *("__GFP_NOFAIL", "__GFP_NORETRY", "__GFP_MEMALLOC", "__GFP_COMP", "__GFP_NOMEMALLOC"),
    *("__GFP_HARDWALL", "__GFP_THISNODE", "__GFP_ACCOUNT", "__GFP_ZEROTAGS"),
    *("0x1000000", "0x2000000", "0x4000000", "0x8000000", "PAGE_CACHE"),
)


def read_llfree(path: Path, content: bytes) -> TraceTable:
    """Read the bytes of a trace: a header page, and then pages of one CPU each.

    From the lowest bit, a record has 38 bits time_us, 24 pfn, 1 alloc, 4 order, 29 gfp, 32 pid.

    Source: struct alloc_entry in LLFree's mm/llfree/size_counters.c.
    """
    words = np.frombuffer(content[: len(content) // 4 * 4], "<u4")
    promised, cores, max_pfn = words[:3].tolist() if len(words) >= 3 else (0, 0, 0)
    plausible = 0 < cores <= 1 << 13 and 0 < max_pfn <= 1 << 24 and 0 < promised < 1 << 24
    if not plausible:
        raise InputError(f"{path}: this is binary, but neither parquet nor an LLFree trace")
    if len(content) % LLFREE_PAGE:
        raise InputError(
            f"{path}: an LLFree trace has whole pages of {LLFREE_PAGE} bytes,"
            f" but the last of this file has {len(content) % LLFREE_PAGE}"
        )
    present = len(content) // LLFREE_PAGE - 1
    account = TraceAccount("llfree")
    # The kernel's file lacks the last page, because its size does not count the header page.
    if present < promised:
        account.notes.append(
            f"the header announces {promised} pages, but the file has {present}:"
            f" up to {(promised - present) * LLFREE_RECORDS} records are missing"
        )
    elif present > promised:
        account.notes.append(
            f"{present - promised} pages beyond the header's {promised} are not read"
        )
    pages = words.reshape(-1, LLFREE_PAGE // 4)[1 : promised + 1]
    cpu = pages[:, 0]
    if len(cpu) and cpu.max() >= min(cores, 256):
        page = int(np.argmax(cpu >= min(cores, 256)))
        raise InputError(
            f"{path}: page {page + 1}: cpu {cpu[page]} must lie in 0..{min(cores, 256) - 1}"
        )
    records = np.ascontiguousarray(pages[:, 4:]).view("<u8").reshape(-1, 2)
    used = records.any(axis=1)
    account.lines, account.blank = len(records), int((~used).sum())
    low, high = records[used].T
    cpu = np.repeat(cpu, LLFREE_RECORDS)[used].astype(np.int64)
    alloc = (low >> np.uint64(62) & np.uint64(1)).astype(bool)
    gfp = (high >> np.uint64(3) & np.uint64((1 << 29) - 1)).astype(np.int64)
    columns = {
        "ts_us": (low & np.uint64((1 << 38) - 1)).astype(np.int64),
        "cpu": cpu,
        "pid": (high >> np.uint64(32)).astype(np.int64),
        "pfn": (low >> np.uint64(38) & np.uint64((1 << 24) - 1)).astype(np.int64),
        # The order lies across the two words.
        "order": (low >> np.uint64(63) | (high & np.uint64(7)) << np.uint64(1)).astype(np.int64),
    }

    def place(at: int) -> str:
        page, slot = divmod(int(np.flatnonzero(used)[at]), LLFREE_RECORDS)
        return f"{path}: page {page + 1}, record {slot}"

    limits = {"order": MAX_ORDER - 1, "pfn": max_pfn, "pid": INT32_MAX}
    for name, limit in limits.items():
        wrong = columns[name] > limit
        if wrong.any():
            at = int(np.argmax(wrong))
            raise InputError(f"{place(at)}: {name} {columns[name][at]} must lie in 0..{limit}")
    # gfp_migratetype(): bit 3 movable, bit 4 reclaimable, and never both.
    type_of_flags = np.array([UNMOVABLE, MOVABLE, RECLAIMABLE, -1])
    both = alloc & ((gfp >> 3 & 3) == 3)
    if both.any():
        raise InputError(
            f"{place(int(np.argmax(both)))}: gfp has both __GFP_MOVABLE and __GFP_RECLAIMABLE"
        )
    columns["migratetype"] = np.where(alloc, type_of_flags[gfp >> 3 & 3], -1)
    columns["event"] = np.where(alloc, "mm_page_alloc", "mm_page_free")
    flags, which = np.unique(gfp, return_inverse=True)
    columns["gfp"] = np.array([_gfp_names(f) for f in flags.tolist()], object)[which]
    trace = pd.DataFrame(columns).assign(comm="", a=-1, b=-1, c=-1)
    account.out_of_order = int((trace["ts_us"].groupby(cpu).diff() < 0).sum())
    # Each CPU filled pages of its own.  Merge them by time, but keep each CPU's records in order.
    merged = trace["ts_us"].groupby(cpu).cummax().argsort(kind="stable")
    trace = trace.iloc[merged.to_numpy()].reset_index(drop=True)
    trace["seq"] = np.arange(len(trace))
    return finish(trace[list(TRACE_COLUMNS)], account)


def _gfp_names(flags: int) -> str:
    return "|".join(name for bit, name in enumerate(LLFREE_GFP) if flags >> bit & 1)
