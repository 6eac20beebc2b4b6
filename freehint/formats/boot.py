"""A freshly booted guest with the zones of a PC, free in order-10 blocks and their remainders."""

import numpy as np

from freehint.config import InputError, share, whole
from freehint.formats.place import cut_block, free_range
from freehint.mm.memory import (
    MAX_ORDER,
    MOVABLE,
    PAGEBLOCK_ORDER,
    UNMOVABLE,
    Memory,
    new_memory,
    new_zones,
)
from freehint.mm.profile import LINUX_6_1, Profile
from freehint.mm.watermark import lowmem_reserves, set_pcp_limits, zone_watermarks
from freehint.units import PAGE_SIZE, parse_size

DMA_END = 4096  # 16 MiB
DMA_FIRST_FREE = 384  # in every recorded guest; BIOS, real-mode code and the like lie below
DMA32_END = 1 << 20  # 4 GiB
# QEMU's pc machine keeps 3 GiB of a guest below 4 GiB if it has 3.5 GiB or more
# (hw/i386/pc_piix.c).
LOWMEM_LIMIT = 3 << 18
LOWMEM_SPLIT = 7 << 17
STRUCT_PAGE_BYTES = 64
KERNEL_PAGES = 8600  # image, initramfs and hash tables of the recorded 1 GiB guest


def make_memory(size, profile: Profile = LINUX_6_1, seed=1, nr_cpus=1, fragmentation=0.0) -> Memory:
    """The memory of a guest that has just booted.

    Parameters
    ----------
    size : str
        The guest's size, such as ``"8GiB"``; at least 64MiB are needed.
    profile : Profile
        The rules of the guest's kernel.
    seed : int
        Draws the places of fragments; without fragmentation nothing is drawn.
    nr_cpus : int
    fragmentation : float
        Share of the highest zone's free order-10 blocks that are cut up.  Each is cut into pieces
        of one random order 0..8, and every second piece stays allocated (and UNMOVABLE).

    Returns
    -------
    Memory
        The zones are DMA below 16 MiB, DMA32 below 4 GiB with the PC's hole, and Normal above.
        The pages that the kernel takes at boot lie at the end of the highest zone, in UNMOVABLE
        pageblocks.  Watermarks and pcp limits follow the kernel's formulas with huge pages on.

    Raises
    ------
    InputError
        A value cannot be used.

    Examples
    --------
    >>> import freehint as fh
    >>> mem = fh.make_memory("1GiB")
    >>> int(mem.nr_free[1, 10, 1])
    239
    """
    whole("seed", seed, 0)
    whole("nr_cpus", nr_cpus, 1)
    share("fragmentation", fragmentation)
    try:
        nr_pages = parse_size(size) // PAGE_SIZE
    except ValueError as error:
        raise InputError(str(error)) from None
    if nr_pages < 16384:
        raise InputError(f"size must be at least 64MiB, got {size!r}")
    reserved = nr_pages * STRUCT_PAGE_BYTES // PAGE_SIZE + min(KERNEL_PAGES, nr_pages // 16)
    zones, ends = _boot_zones(nr_pages, reserved)
    memory = new_memory(zones, nr_cpus, profile)
    for zone, end in enumerate(ends):
        _free_zone(memory, zone, end, reserved if zone == len(ends) - 1 else 0)
    set_pcp_limits(memory)
    if fragmentation:
        _fragment(memory, np.random.default_rng(seed), fragmentation)
    return memory


def _boot_zones(nr_pages: int, reserved: int):
    """The zones of a guest of ``nr_pages``, and the pfn at which the memory of each ends."""
    low = nr_pages if nr_pages < LOWMEM_SPLIT else LOWMEM_LIMIT
    starts, ends, spans = [1, DMA_END], [DMA_END, low], [DMA_END - 1, low - DMA_END]
    if nr_pages > low:
        spans[1] = DMA32_END - DMA_END
        starts.append(DMA32_END)
        ends.append(DMA32_END + nr_pages - low)
        spans.append(nr_pages - low)
    present = np.array(ends) - np.array(starts)
    managed = present.copy()
    managed[0] -= DMA_FIRST_FREE - 1
    managed[-1] -= reserved
    index = np.arange(len(starts), dtype=np.int64)
    zones = new_zones(
        index=index,
        start_pfn=np.array(starts, np.int64),
        spanned=np.array(spans, np.int64),
        present=present,
        managed=managed,
        watermark=zone_watermarks(managed),
        lowmem_reserve=lowmem_reserves(index, managed),
    )
    return zones, ends


def _free_zone(memory: Memory, zone: int, end: int, reserved: int) -> None:
    """Tag the zone's pageblocks and free its pages, lowest first, as memblock does at boot."""
    start = int(memory.zones.start_pfn[zone])
    first, last = start >> PAGEBLOCK_ORDER, -(-end >> PAGEBLOCK_ORDER)
    memory.pageblock[first:last] = MOVABLE
    if zone == 0:
        memory.pageblock[0] = UNMOVABLE
    if reserved:
        memory.pageblock[(end - reserved) >> PAGEBLOCK_ORDER : last] = UNMOVABLE
    free_range(memory, zone, DMA_FIRST_FREE if zone == 0 else start, end - reserved)


def _fragment(memory: Memory, stream, fragmentation: float) -> None:
    top = len(memory.zones.index) - 1
    blocks = round(int(memory.nr_free[top, MAX_ORDER - 1, MOVABLE]) * fragmentation)
    for order in stream.integers(0, PAGEBLOCK_ORDER, blocks):
        cut_block(memory, top, int(order))
