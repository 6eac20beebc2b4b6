"""Moving the pages that were isolated.

Source: mm/migrate.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.capture import (
    compaction_free_page,
)
from freehint.mm.compact.free_scanner import compaction_alloc
from freehint.mm.compact.migrate_scanner import putback_pages
from freehint.mm.compact.state import (
    MIGRATED,
    note,
    sources_head,
)
from freehint.mm.list import list_del, list_empty, list_next
from freehint.mm.profile import COMPACT_BLOCKS
from freehint.mm.reclaim.lru import move_page


@kernel(cold=True)
def move_one(memory, reclaim, compaction, who, source, target):
    """The target takes the page's place, and the page is freed.

    Source: migrate_folio_move(), migrate_folio_done() of 6.12.
    """
    cc = compaction.control[who]
    if reclaim.slot[source] == 0:
        daemon = compaction.daemon[0]
        compaction.strangers[daemon.nr_strangers, 0] = source
        compaction.strangers[daemon.nr_strangers, 1] = target
        daemon.nr_strangers += 1
    memory.frame[target] = memory.frame[source]
    memory.frame[source] = 0
    move_page(memory, reclaim, source, target)
    compaction_free_page(memory, compaction, who, source, 0)
    compaction.moves[who, cc.nr_moves, 0] = source
    compaction.moves[who, cc.nr_moves, 1] = target
    cc.nr_moves += 1
    cc.migrated += 1


@kernel
def migrate_pages(memory, reclaim, compaction, who):
    """Move the isolated pages, the last isolated first; return the number that found no target.

    /proc/vmstat counts the first of these only.  From 6.3 on all have their targets before the
    first page is moved.
    Source: migrate_pages(); migrate_pages_batch() of 6.12.
    """
    cc = compaction.control[who]
    head, moves = sources_head(memory, who), compaction.moves[who]
    first, before = cc.nr_moves, cc.migrated
    targets = first
    while not list_empty(compaction.links, head):
        target = compaction_alloc(memory, reclaim, compaction, who)
        if target < 0:
            break
        source = list_next(compaction.links, head)
        list_del(compaction.links, source)
        if memory.profile.compaction == COMPACT_BLOCKS:
            moves[targets, 0], moves[targets, 1] = source, target
            targets += 1
        else:
            move_one(memory, reclaim, compaction, who, source, target)
    for i in range(first, targets):
        move_one(memory, reclaim, compaction, who, moves[i, 0], moves[i, 1])
    failed = putback_pages(memory, reclaim, compaction, who)
    cc.failed += min(failed, 1)
    cc.nr_migratepages = 0
    note(compaction, MIGRATED, cc.migrated - before, failed, 0, 0)
    return failed
