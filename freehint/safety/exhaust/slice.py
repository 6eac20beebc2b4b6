"""A slice of the small guest: one page is watched, and the others may do anything.

Whether a write to a page is lost depends on this page's content and dirty bits, on the allocator,
the policy, the ring and the host, and on the other pages of its chunk in one way only: when one of
them is sent, the chunk's log is cleared.  So a slice keeps the content and the dirty bits of the
watched page alone, and has

* no writes to other pages and no sending of other chunks' pages: neither changes what is kept;
* in place of the migration's cursor, the watched page whenever it is in the bitmap, or another page
  of its chunk at any time.

Each step of the whole guest is a step of the slice, or changes nothing in it.  Hence what no slice
can reach the whole guest cannot reach either: if the slices of all pages are exhausted without a
violation, so is the guest.  A violation in a slice is only a hint, because it may need a neighbour
that is not dirty; it counts when the whole guest has it too.

Where a chunk is not larger than a block, all its pages are watched.  Then the cursor is kept as
far as it decides which of them is next: a page of another chunk is sent only if no watched page
from the cursor on is in the bitmap, and that puts the cursor before all of them.
"""

PAGES_OF_BLOCK = 4
EXACT_CHUNK = 2  # the largest chunk shift with which all pages of a chunk are watched: a block


def watched_pages(page: int, chunk: int, frames: tuple) -> tuple[int, int]:
    """The bits of the pages that are watched, and another page of their chunk, or -1.

    Parameters
    ----------
    page : int
        -1 for the whole guest.
    chunk : int
        A chunk has ``2^chunk`` pages.
    frames : tuple of int
        All pages of the guest.
    """
    if page < 0:
        return sum(1 << one for one in frames), -1
    mates = [one for one in frames if one >> chunk == page >> chunk]
    if chunk <= EXACT_CHUNK:
        return sum(1 << one for one in mates), -1
    return 1 << page, next((one for one in mates if one != page), -1)


def slices_of(chunk: int) -> tuple[int, ...]:
    """A page of each slice that is to be searched for a guest with two vCPUs.

    Its two blocks of four pages differ only in their order on the free list, and two vCPUs that
    take and free both reverse that before the migration begins; so the slices of the second block
    reach what those of the first reach, with the blocks' names changed (tests/safety).
    """
    pages = 1 << chunk if chunk <= EXACT_CHUNK else 1
    return tuple(range(0, PAGES_OF_BLOCK, pages))
