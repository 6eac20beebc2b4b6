"""QEMU's pre-copy: send every page, then those written meanwhile, until few are left.

Pages are sent in ascending order.  A zero page takes 9 bytes on the wire, another one 4096 + 8.
In each window of 100 ms at most ``bandwidth`` / 10 is sent.  At the begin of a window and 50 ms
later, the rest is looked at: if it would take less than the downtime limit at the last window's
bandwidth, the bitmap is synced.  If that is still so after the sync, the guest is stopped, the
bitmap is synced once more, and the rest is sent without a limit.

Source: migration/migration.c (migration_iteration_run(), migration_update_counters()) and
migration/ram.c of QEMU 10.0.
"""

from freehint.engine.world.clock import schedule, suspend
from freehint.engine.world.dirty import clear_chunk, next_dirty
from freehint.jit import kernel
from freehint.mm.bitmap import clear_bit, set_bit
from freehint.units import NS_PER_MS, PAGE_SIZE

ZERO_PAGE_BYTES = 9  # RAM_SAVE_FLAG_ZERO with the offset, and one byte
NORMAL_PAGE_BYTES = PAGE_SIZE + 8
WINDOW_NS = 100 * NS_PER_MS  # BUFFER_DELAY
ITERATION_NS = 50 * NS_PER_MS  # MAX_WAIT: the rest is looked at between iterations
OFF, PRECOPY, COMPLETION = range(3)


@kernel(inline=True)
def begin_window(record, now_ns):
    """Begin a window of 100 ms, after the bytes of the last one have given the bandwidth.

    Source: migration_update_counters().
    """
    if record.window_bytes > 0:
        record.threshold_bytes = record.window_bytes * record.downtime_limit_ns // WINDOW_NS
    record.window_bytes = 0
    record.window_end = now_ns + WINDOW_NS
    record.check_at = now_ns


@kernel(inline=True)
def take_page(world, page):
    """Take a page out of the bitmap, and clear the log of its chunk: the page is sent next.

    Source: migration_bitmap_clear_dirty().
    """
    record = world.migration[0]
    clear_bit(world.dirty.bitmap, page)
    clear_chunk(world.dirty, page)
    record.pages_left -= 1
    record.at = page + 1


@kernel(inline=True)
def read_page(world, page):
    """Send a page as it is now, and return its (bytes, ns).

    Source: ram_save_target_page_legacy().
    """
    record = world.migration[0]
    if world.copy[page] != world.version[page]:  # a copy that stays 0 takes none of our memory
        world.copy[page] = world.version[page]
    if world.version[page] == 0:
        record.zero += 1
        return ZERO_PAGE_BYTES, record.zero_page_ns
    record.normal += 1
    set_bit(world.present, page)
    return NORMAL_PAGE_BYTES, record.normal_page_ns


@kernel(inline=True)
def few_left(record):
    """Would sending the rest take less than the downtime limit?"""
    return record.pages_left * PAGE_SIZE < record.threshold_bytes


@kernel(inline=True)
def migration_event(world, actor, now_ns):
    """Send the next page, then sleep to the window's end if its quota is used.

    Until another actor's turn comes, or a look at the rest, further pages are sent in the same
    call, each at its own time.

    Returns
    -------
    bool
        Whether Python has to sync or to finish.
    """
    record = world.migration[0]
    if now_ns >= record.window_end:
        begin_window(record, now_ns)
    if record.phase == PRECOPY and now_ns >= record.check_at:
        record.check_at = now_ns + ITERATION_NS
        if few_left(record):
            return True
    page = next_dirty(world.dirty, record.at)
    if page < 0:
        page = next_dirty(world.dirty, 0)
    if page < 0:
        suspend(world, actor)
        return True
    alone_until = min(record.others_at, record.window_end)
    if record.phase == PRECOPY:
        alone_until = min(alone_until, record.check_at)
    due = now_ns
    while page >= 0:
        take_page(world, page)
        sent, took_ns = read_page(world, page)
        record.sent_bytes += sent
        record.window_bytes += sent
        due += took_ns
        if record.phase == PRECOPY and record.window_bytes >= record.quota_bytes:
            due = max(due, record.window_end)
        page = next_dirty(world.dirty, record.at) if due < alone_until else -1
    schedule(world, actor, due)
    return False
