"""A memory of 32 pages that shows what an allocation splits and a free merges.

The allocator's own kernels work here on real lists.  ``rmqueue_smallest`` takes the first block
from the list of the smallest order that has one, and puts the halves it does not need on lower
lists.  ``free_one_page`` merges a block with its buddies and puts the result at a head or a tail.

Source: mm/page_alloc.c, through freehint/mm/buddy.py.
"""

from dataclasses import dataclass

from freehint.config import one_of, whole
from freehint.mm.buddy import (
    FPI_NONE,
    FPI_TO_TAIL,
    add_to_free_list,
    free_one_page,
    rmqueue_smallest,
)
from freehint.mm.memory import (
    MOVABLE,
    Memory,
    copy_memory,
    free_list_head,
    list_nodes,
    new_memory,
    new_zones,
)
from freehint.mm.profile import LINUX_6_1

NR_PAGES, TOP_ORDER = 32, 5
FREED = ("oldest first", "newest first")
PLACED = {"as Linux does": FPI_NONE, "always to the tail": FPI_TO_TAIL}


@dataclass(frozen=True)
class Blocks:
    """The 32 pages at one moment.

    Attributes
    ----------
    order : int
        The order of the allocations.
    held : tuple of int
        First page of each block that is handed out, oldest first.
    freed : tuple of int
        First page of each block that was freed, in the order of the frees.
    lists : tuple of tuple of int
        ``lists[order]`` has the first page of each free block, head first.
    next_page : int
        The first page that the next allocation would get; -1 if it would fail.
    """

    order: int
    held: tuple
    freed: tuple
    lists: tuple
    next_page: int

    @property
    def sentence(self) -> str:
        """The moment in words."""
        free = sum(map(len, self.lists))
        held = f"{len(self.held)} block{'s' * (len(self.held) != 1)} handed out, {free} free"
        if self.next_page < 0:
            return f"{held}; the next allocation fails."
        pages = range(self.next_page, self.next_page + (1 << self.order))
        last = set(range(self.freed[-1], self.freed[-1] + len(pages))) if self.freed else set()
        why = "was freed last" if last & set(pages) else "was not freed last"
        what = f"page {self.next_page}" + (f"; it {why}" if self.freed else "")
        return f"{held}; the next allocation gets {what}."


def one_block() -> Memory:
    """A zone whose only free memory is one block of 32 pages."""
    zones = new_zones(
        index=[1], start_pfn=[4096], spanned=[1024], present=[1024], managed=[1024],
        watermark=[[1, 2, 3]],
    )  # fmt: skip
    memory = new_memory(zones, 1, LINUX_6_1)
    memory.pageblock[:] = MOVABLE
    add_to_free_list(memory, 0, 0, TOP_ORDER, MOVABLE)
    memory.zones[0].nr_free_pages += NR_PAGES
    return memory


def block_story(allocations=5, frees=0, order=0, freed="oldest first", placed="as Linux does"):
    """Allocate some blocks, free some of them, and look at the lists.

    Parameters
    ----------
    allocations, frees : int
        The number of each, 0..32; frees that find no block left do nothing.
    order : int
        The order of every allocation, 0..5.
    freed : str
        Which block is freed first: one of ``blocks.FREED``.
    placed : str
        Where a freed block goes: one of ``blocks.PLACED``.

    Returns
    -------
    Blocks
        The memory afterwards.

    Raises
    ------
    InputError
        A value is unknown or out of range.

    Examples
    --------
    >>> from freehint.studies.blocks import block_story
    >>> block_story(allocations=1).lists
    ((1,), (2,), (4,), (8,), (16,), ())
    """
    for name, value in (("allocations", allocations), ("frees", frees)):
        whole(name, value, 0, NR_PAGES)
    whole("order", order, 0, TOP_ORDER)
    one_of("freed", freed, FREED)
    one_of("placed", placed, PLACED)
    memory = one_block()
    taken = [rmqueue_smallest(memory, 0, order, MOVABLE) for _ in range(allocations)]
    held = [node for node in taken if node >= 0]
    given = (held if freed == FREED[0] else held[::-1])[:frees]
    for node in given:
        free_one_page(memory, node, 0, order, MOVABLE, PLACED[placed])
    heads = [free_list_head(memory, 0, k, MOVABLE) for k in range(TOP_ORDER + 1)]
    return Blocks(
        order=order,
        held=tuple(node for node in held if node not in given),
        freed=tuple(given),
        lists=tuple(tuple(map(int, list_nodes(memory, head))) for head in heads),
        next_page=int(rmqueue_smallest(copy_memory(memory), 0, order, MOVABLE)),
    )
