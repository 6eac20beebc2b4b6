"""Five recordings of walkers, written by hand from the recorder's rules, for tests.

Each is a guest with one zone of eight free blocks of order 10, A..H, on its MOVABLE list.
"""

import json

import numpy as np
import pandas as pd

import freehint as fh
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.list import set_list
from freehint.mm.memory import MOVABLE, REPORTED, free_list_head
from memories import free_memory

A, B, C, D, E, F, G, H = BLOCKS = tuple(range(4096, 4096 + 8192, 1024))
WALKER, HOST, GUEST = 70, 71, 1
COLUMNS = ("event", "pid", "pfn", "order", "migratetype", "a", "b", "c", "gfp")


def row(event, pfn=-1, order=-1, migratetype=-1, a=0, b=0, c=0, pid=WALKER, gfp=""):
    return event, pid, pfn, order, migratetype, a, b, c, gfp


def begins(event, a, b, c):
    return row(event, a=a, b=b, c=c)


def movable(event, pfn, a=0, b=0, c=0, pid=WALKER):
    """A row about a block of order 10 on the MOVABLE list, or about that list (pfn -1)."""
    return row(event, pfn, 10, MOVABLE, a, b, c, pid)


def empty_list(migratetype):
    return [row(event, -1, 10, migratetype) for event in ("w_list_begin", "w_list_end")]


def stroke_on_the_list(blocks, end, visited, why):
    """A stroke's hold of the MOVABLE list: (pfn, stay, 1 if told before) of its blocks."""
    return [
        movable("w_list_begin", -1),
        *(movable("w_report", pfn, 1, stay, twice) for pfn, stay, twice in blocks),
        *end,
        *(movable("w_rotate", pfn, 0, place) for place, (pfn, _, _) in enumerate(blocks)),
        movable("w_list_end", -1, 0, visited, why),
    ]


def used(blocks):
    return [movable("w_used", pfn, 1, stay, 0, HOST) for pfn, stay, _ in blocks]


def allocated(pfn):
    return movable("mm_page_alloc_zone_locked", pfn, pid=GUEST)


def rotation_rows():
    """Rotation on exit, three blocks a stroke, until A comes; but A is allocated and freed again.

    So the A that comes back is another stay, and the lap ends the list.
    """
    strokes = (
        [(A, 1, 0), (B, 2, 0), (C, 3, 0)],
        [(E, 4, 0), (F, 5, 0), (G, 6, 0)],
        [(A, 7, 0), (B, 2, 1)],
    )
    return [
        row("tracing_mark_write", gfp="fhw rotate=2 resume=1 capacity=3 min_order=10 strokes=9"),
        begins("w_walk_begin", 0, 2, 1),
        begins("w_stroke_begin", 0, 3, 0),
        *empty_list(0),
        *stroke_on_the_list(strokes[0], [], 4, 1),
        begins("w_stroke_end", 0, 3, 0),
        *used(strokes[0]),
        allocated(D),
        begins("w_stroke_begin", 1, 3, 0),
        *stroke_on_the_list(strokes[1], [], 4, 1),
        begins("w_stroke_end", 1, 3, 0),
        *used(strokes[1][:2]),
        allocated(H),
        allocated(A),
        movable("mm_page_free", A, pid=GUEST),
        begins("w_stroke_begin", 2, 3, 0),
        *stroke_on_the_list(strokes[2], [movable("w_lap", C, 8, 8)], 3, 4),
        *empty_list(2),
        *empty_list(3),
        *empty_list(4),
        begins("w_stroke_end", 2, 2, 1),
        *used(strokes[1][2:] + strokes[2]),
        begins("w_walk_end", 0, 8, 1),
    ]


def five_step_rows():
    """Seven blocks are held, for the watermark keeps the eighth; the guest takes that one."""
    held = list(enumerate(BLOCKS[:7], 1))
    return [
        row("tracing_mark_write", gfp="fhw five_step=1 keep=0 capacity=0 min_order=10 strokes=1"),
        begins("w_walk_begin", 0, 9, 0),
        begins("w_stroke_begin", 0, 0, 0),
        *empty_list(0),
        movable("w_list_begin", -1),
        *(
            movable(event, pfn, taken)
            for pfn in BLOCKS
            for event, taken in (("isolate", 0), ("w_isolate", 1024 if pfn != H else 0))
        ),
        movable("w_list_end", -1, 0, 8, 5),
        *empty_list(2),
        *empty_list(3),
        movable("w_report", A, 1, 1),
        movable("w_used", A, 2, 1, 0, HOST),
        *(movable("w_report", pfn, 1, stay) for stay, pfn in held[1:]),
        movable("w_used", B, 2, 2, 0, HOST),
        allocated(H),
        movable("w_interrupt", H, 0, 10, 7, GUEST),
        row("w_withdraw", a=5, pid=GUEST),
        *(
            movable(event, pfn, 0, int(event == "w_putback" and pfn in (A, B)), 1, GUEST)
            for pfn in BLOCKS[:7]
            for event in ("putback", "w_putback")
        ),
        begins("w_hold_begin", 0, 0, 0),
        begins("w_hold_end", 0, 0, 0),
        begins("w_stroke_end", 0, 7, 3),
        begins("w_walk_end", 0, 0, 3),
    ]


def full_ring_rows():
    """Each block moves as soon as it is reported, a ring of three ends a stroke, any mark a list.

    A refused block has a row and a stay's number, but no mark; so it gets another one later.
    """
    rows = [
        row(
            "tracing_mark_write", gfp="fhw rotate=1 resume=4 capacity=0 min_order=10 ring=3 full=1"
        ),
        begins("w_walk_begin", 0, 1, 4),
    ]
    number = 0
    for stroke, blocks in enumerate(((A, B, C, D), (D, E, F, G), (G, H))):
        rows += [begins("w_stroke_begin", stroke, 0, 0), *(empty_list(0) if stroke == 0 else ())]
        rows.append(movable("w_list_begin", -1))
        taken = []
        for pfn in blocks:
            number += 1
            fits = len(taken) < 3
            rows.append(movable("w_report", pfn, int(fits), number))
            if fits:
                taken.append((pfn, number, 0))
                rows.append(movable("w_rotate", pfn))
        if stroke < 2:
            rows += [movable("w_list_end", -1, 0, 4, 2), begins("w_stroke_end", stroke, 4, 2)]
        else:
            rows += [movable("w_first", A, 8, 8), movable("w_list_end", -1, 0, 3, 3)]
            rows += [*empty_list(2), *empty_list(3), *empty_list(4)]
            rows.append(begins("w_stroke_end", stroke, 2, 1))
        rows += used(taken)
    return [*rows, begins("w_walk_end", 0, 8, 1)]


def last_block_rows():
    """A ring of one: it loses all blocks but the first, and then all but the last, which is A.

    A block that moves is met again behind the list's last one, unless it is that last one.
    """
    lost = [movable("w_report", pfn, 0, stay) for stay, pfn in enumerate(BLOCKS[1:], 2)]
    again = [movable("w_report", pfn, 0, stay) for stay, pfn in enumerate(BLOCKS[1:], 9)]
    begin, moved = movable("w_list_begin", -1), movable("w_rotate", A)
    others = [*empty_list(2), *empty_list(3), *empty_list(4)]
    return [
        row("tracing_mark_write", gfp="fhw rotate=1 capacity=0 min_order=10 ring=1 strokes=2"),
        begins("w_walk_begin", 0, 1, 0),
        begins("w_stroke_begin", 0, 0, 0),
        *empty_list(0),
        *[begin, movable("w_report", A, 1, 1), moved, *lost, movable("w_list_end", -1, 0, 8, 6)],
        *others,
        begins("w_stroke_end", 0, 8, 1),
        begins("w_stroke_begin", 1, 0, 0),
        *empty_list(0),
        *[begin, *again, movable("w_used", A, 1, 1, 0, HOST), movable("w_report", A, 1, 1, 1)],
        *[moved, movable("w_list_end", -1, 0, 8, 0)],
        *others,
        begins("w_stroke_end", 1, 8, 1),
        movable("w_used", A, 1, 1, 0, HOST),
        begins("w_walk_end", 0, 2, 1),
    ]


def cursor_rows():
    """Each block moves as soon as it is reported, and a stroke goes on behind the newest report.

    The guest puts D and E back behind it; the stroke ends there when it comes to D again.
    """

    def list_of(migratetype, blocks=(), after=-1, visited=0, why=0):
        begin, end = (
            row("w_list_begin", -1, 10, migratetype),
            row("w_list_end", -1, 10, migratetype),
        )
        found = [begin, row("w_cursor", after, 10, migratetype)]
        for pfn, stay, _ in blocks:
            found += [movable("w_report", pfn, 1, stay), movable("w_rotate", pfn)]
        return [*found, (*end[:5], 0, visited, why, "")]

    def put_back(pfn):
        isolated = [movable("isolate", pfn, pid=GUEST), row("isolate_ret", a=1024, pid=GUEST)]
        return [*isolated, movable("putback", pfn, pid=GUEST)]

    first, second = [(A, 1, 0), (B, 2, 0), (C, 3, 0)], [(D, 4, 0), (E, 5, 0)]
    return [
        row("tracing_mark_write", gfp="fhw rotate=1 resume=2 capacity=3 min_order=10 strokes=9"),
        begins("w_walk_begin", 0, 1, 2),
        begins("w_stroke_begin", 0, 3, 0),
        *list_of(0),
        *list_of(MOVABLE, first, -1, 4, 1),
        begins("w_stroke_end", 0, 3, 0),
        *used(first),
        *put_back(D),
        *put_back(E),
        begins("w_stroke_begin", 1, 3, 0),
        *list_of(MOVABLE, second, C, 2, 6),
        *list_of(2),
        *list_of(3),
        *list_of(4),
        begins("w_stroke_end", 1, 2, 1),
        *used(second),
        begins("w_walk_end", 0, 5, 1),
    ]


def snapshot(stem, order, reported, marks):
    """Write a snapshot in which these blocks are free, in this order; ``marks``: with the flag."""
    memory = free_memory(8192)._replace(reported_known=marks)
    nodes = [pfn - memory.base_pfn for pfn in BLOCKS]
    for node in nodes:
        if node + memory.base_pfn not in order:
            del_page_from_free_list(memory, node, 0, 10)
            memory.zones[0].nr_free_pages -= 1024
    head = free_list_head(memory, 0, 10, MOVABLE)
    set_list(memory.links, head, np.array(order) - memory.base_pfn)
    memory.frame[[pfn - memory.base_pfn for pfn in reported]] |= REPORTED
    fh.save_snapshot(memory, stem)


def record(folder, name, rows, order, reported, marks=True, before=()):
    """Write a recording of these rows; at T1 the blocks are free in this order.

    ``marks`` says whether the snapshots have Reported flags; ``before`` lists those set at T0.
    """
    folder.mkdir(exist_ok=True)
    stem = folder / name
    lines = [row("tracing_mark_write", gfp="FH T0"), *rows, row("tracing_mark_write", gfp="FH T1")]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    table["seq"] = table["ts_us"] = np.arange(len(table))
    table["cpu"], table["comm"] = 0, "any"
    types = dict.fromkeys(("event", "comm", "gfp"), "category")
    types |= dict.fromkeys(("pid", "pfn", "a", "b", "c"), "int32")
    types |= {"seq": "uint32", "ts_us": "int64", "cpu": "uint8"}
    types |= {"order": "int8", "migratetype": "int8"}
    table.astype(types).to_parquet(f"{stem}.trace.parquet")
    ends = (("T0", 1, BLOCKS, before), ("T1", len(table), order, reported))
    for moment, entries, free, flagged in ends:
        snapshot(f"{stem}.{moment}", list(free), flagged, marks)
        path = folder / f"{name}.{moment}.meta.json"
        meta = json.loads(path.read_text())
        path.write_text(json.dumps(meta | {"trace": [{"cpu": 0, "entries": entries}]}))
    return stem


def rotation(folder, rows=None, **options):
    """The recording with rotation on exit."""
    order = (C, E, F, G, A, B)
    return record(folder, "rotation", rows or rotation_rows(), order, order, **options)


def five_steps(folder, rows=None):
    """The recording of the five steps."""
    return record(folder, "five_steps", rows or five_step_rows(), BLOCKS[:7], (A, B))


def full_ring(folder, rows=None):
    """The recording of a ring that is too small."""
    return record(folder, "full_ring", rows or full_ring_rows(), BLOCKS, BLOCKS)


def last_block(folder, rows=None):
    """The recording in which the ring takes only the first block, and then only the last."""
    return record(folder, "last_block", rows or last_block_rows(), (*BLOCKS[1:], A), (A,))


def cursor(folder, rows=None):
    """The recording of a cursor on a list that rotates."""
    order = (F, G, H, A, B, C, D, E)
    return record(folder, "cursor", rows or cursor_rows(), order, order[3:])
