"""The oracle: what it asks spin, how it reads the answers, and what the engine's kernels say."""

import csv
import re
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from freehint.config import InputError
from freehint.engine.world.dirty import (
    G2,
    G3,
    GENERATION,
    LOGGING,
    clear_chunk,
    clear_hinted,
    log_write,
    new_dirty_log,
    sync_bitmap,
)
from freehint.mm import bitmap
from freehint.safety import oracle
from freehint.safety.oracle import MODEL, VERDICTS, Cell, Verdict

ROOT = Path(__file__).parent.parent.parent
# What spin 6.5.2 printed, without the lines that nothing reads.
EXHAUSTED = """
Depth=      40 States= 5.53e+05 Transitions= 2.48e+06 Memory=   189.426    t=     1.31 R=   4e+05

(Spin Version 6.5.2 -- 6 December 2019)
    + Breadth-First Search

State-vector 56 byte, depth reached 42, errors: 0
   553243 states, stored
      553243 nominal states (stored-atomic)

unreached in proctype vcpu
    core.pml:115, state 42, "-end-"
    (1 of 42 states)
unreached in proctype balloon
    core.pml:170, state 30, "device = STOPPED"
    core.pml:187, state 36, "-end-"
    (2 of 36 states)
unreached in proctype migration
    (0 of 68 states)

pan: elapsed time 1.31 seconds
pan: rate  422322.9 states/second
"""
VIOLATED = """
pan:1: assertion violated  !((kept& ~(bitmap))) (at depth 13)
pan: wrote core.pml.trail

(Spin Version 6.5.2 -- 6 December 2019)
Warning: Search not completed
    + Breadth-First Search

State-vector 56 byte, depth reached 13, errors: 1
    39980 states, stored

pan: elapsed time 0.08 seconds
"""
# With G1 no write is lost, whatever else holds.
SAFE = ("G1", "lost")
# A write is lost although the hint was used before the guest took the block back.
G2_ACKNOWLEDGED = """\
      write page 0
                  sync
                  request round 1
          start round 1
              pop START 1
      free block 0
          hint block 0
              pop block 0
              use the hint of block 0
                  take page 2
      allocate block 0
      write page 0
                  clear the chunk of page 2
                  send page 2
                  pause the guest
                  STOP
                  sync, send the rest and switch over
spin: core.pml:224, Error: assertion violated
spin: text of failed assertion: assert(!((kept&~(bitmap))))
spin: trail ends after 17 steps
#processes: 4
        bitmap = 8
"""
G3_LATE_HINT = """\
                  sync
                  request round 1
          start round 1
              pop START 1
      free block 0
          hint block 0
              pop block 0
      allocate block 0
      write page 0
                  pause the guest
              clear the chunk of page 0 for the hint
              use the hint of block 0
                  STOP
                  sync, send the rest and switch over
spin: core.pml:224, Error: assertion violated
spin: trail ends after 14 steps
"""


def test_the_output_of_a_search_is_read():
    assert oracle.parse_search(EXHAUSTED) == Verdict("exhausted", 553_243, 42, 1, 1.31)
    assert oracle.parse_search(VIOLATED) == Verdict("violated", 39_980, 13, 0, 0.08)
    stopped = EXHAUSTED.replace("+ Breadth", "\nWarning: Search not completed\n+ Breadth")
    assert oracle.parse_search(stopped).verdict == "not exhausted"
    many = EXHAUSTED.replace("   553243 states, stored", " 1.25e+08 states, stored")
    assert oracle.parse_search(many).states == 125_000_000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the output of spin's search has no"),
        (VIOLATED.replace("states, stored", "states"), "has no .*states, stored"),
        (
            VIOLATED.replace("assertion violated  !", "invalid end state"),
            "spin's search failed: pan:1: invalid end state",
        ),
    ],
)
def test_an_output_that_is_not_understood_is_refused(text, complaint):
    with pytest.raises(InputError, match=complaint):
        oracle.parse_search(text)


def test_a_trail_is_read_in_words():
    steps = oracle.parse_trail(G2_ACKNOWLEDGED)
    assert steps[0] == "write page 0" and steps[-1] == "sync, send the rest and switch over"
    assert len(steps) == 17
    with pytest.raises(InputError, match="has 17 steps, but 16 are told"):
        oracle.parse_trail(G2_ACKNOWLEDGED.split("\n", 1)[1])


def test_every_cell_sets_every_macro_of_the_model():
    cells = oracle.cells()
    described = MODEL.read_text().split("*/")[0]
    names = set(
        re.findall(r"[A-Z_]{4,}", " ".join(re.findall(r"^ \*   (\S.*?)  ", described, re.M)))
    )
    for cell in cells:
        assert {macro[2:].split("=")[0] for macro in cell.macros()} == names
    assert len({tuple(cell.macros()) for cell in cells}) == len(cells) == 108
    cell = Cell("G2", True, 4, 1, 2, False, True, "destroyed")
    assert cell in cells
    assert cell.macros() == (
        "-DGENERATION=2 -DINITIALLY_SET=1 -DBLOCK=4 -DBLOCKS=1 -DCHUNK=2 -DACKNOWLEDGED=0"
        " -DDISCARDING=1 -DPROPERTY=DESTROYED -DROUNDS=2 -DRING=2 -DKNOWN_BUG=0"
    ).split(" ")


def test_a_verdict_is_known_for_every_cell():
    known = oracle.known_verdicts()
    assert set(known) == {*oracle.cells(), *oracle.cells_with_bugs()}
    right = {cell: verdict for cell, verdict in known.items() if cell.bug == "none"}
    safe = {verdict for cell, verdict in right.items() if (cell.generation, cell.violation) == SAFE}
    assert safe == {"exhausted"}
    assert not oracle.differences({c: Verdict(v, 1, 1, 0, 0.0) for c, v in known.items()}, known)
    cell = min(known)
    (sentence,) = oracle.differences({cell: Verdict("not exhausted", 1, 1, 0, 0.0)}, known)
    assert sentence == f"{cell}: not exhausted, but was {known[cell]}"


@pytest.mark.parametrize(
    ("before", "after"),
    [("G1,False,2,2,1,", "G4,False,2,2,1,"), (",exhausted\n", ",proven\n"), ("\nG1,", "\nG1,,")],
)
def test_a_damaged_table_of_verdicts_is_refused(tmp_path, before, after):
    path = tmp_path / "verdicts.csv"
    path.write_text(VERDICTS.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=r"verdicts\.csv: G.*: no cell with a verdict"):
        oracle.known_verdicts(path)


def test_the_table_has_a_row_for_each_cell(tmp_path):
    cell = oracle.cells()[0]
    found = {cell: Verdict("violated", 5, 2, 0, 0.5, ("write page 0", "sync"))}
    oracle.write_table(found, tmp_path / "spin.csv")
    (row,) = csv.DictReader((tmp_path / "spin.csv").read_text().splitlines())
    assert row["generation"] == cell.generation and row["verdict"] == "violated"
    assert row["trail"] == "write page 0; sync"
    assert len(row) == len(astuple(cell)) + len(astuple(found[cell]))


def test_the_page_tells_the_verdicts():
    known = oracle.known_verdicts()
    page = (ROOT / "docs" / "safety_oracle.md").read_text()
    rows = re.findall(r"^\| (G\d) \| (\d) \| (\d) of (\d) pages \| (.*) \| (.*) \|$", page, re.M)
    told = {}
    for generation, chunk, blocks, pages, *verdicts in rows:
        for acknowledged, verdict in zip((False, True), verdicts, strict=True):
            key = (generation, int(pages), int(blocks), int(chunk), acknowledged)
            told[key] = verdict
    assert len(told) == 18
    for cell in oracle.cells():
        verdict = known[cell]
        key = (cell.generation, cell.block_pages, cell.blocks, cell.chunk_pages, cell.acknowledged)
        if cell.violation == "destroyed":
            assert verdict == ("exhausted" if cell.acknowledged else "violated")
        else:
            assert verdict == told[key]


# A page of the model stands for a word of the engine's bitmaps, whose chunks hold whole words.
WORD_SHIFT = 6


def lost_by_the_engine(steps, generation: int, cell: Cell) -> set[int]:
    """Follow a trail with the engine's dirty log: the pages whose last write is nowhere."""
    pages = cell.block_pages * cell.blocks
    order = WORD_SHIFT + (cell.block_pages - 1).bit_length()
    chunk_shift = WORD_SHIFT + (cell.chunk_pages - 1).bit_length()
    dirty = new_dirty_log(pages << WORD_SHIFT, generation, chunk_shift)
    assert dirty.rule[GENERATION] == generation
    dirty.rule[LOGGING] = 1
    dirty.bitmap[:] = ~dirty.bitmap
    dirty.log[:] = ~dirty.log if cell.initially_set else 0
    kept = set()
    for step in steps:
        *words, number = step.split()
        what, page = " ".join(words), int(number) if number.isdigit() else -1
        if what == "write page":
            log_write(dirty, page << WORD_SHIFT)
            kept.add(page)
        elif what == "free block":
            kept -= set(range(page * cell.block_pages, (page + 1) * cell.block_pages))
        elif what == "use the hint of block":
            clear_hinted(dirty, page << order, order)
        elif what == "take page":
            bitmap.clear_bit(dirty.bitmap, page << WORD_SHIFT)
        elif what == "clear the chunk of page":
            clear_chunk(dirty, page << WORD_SHIFT)
        elif what == "send page":
            kept.discard(page)
        elif step.startswith("sync"):
            sync_bitmap(dirty)
    return {page for page in kept if not bitmap.test_bit(dirty.bitmap, page << WORD_SHIFT)}


def test_the_engines_dirty_log_loses_the_write_of_a_trail():
    cell = Cell("G2", False, 2, 2, 4, True, False, "lost")
    steps = oracle.parse_trail(G2_ACKNOWLEDGED)
    assert lost_by_the_engine(steps, G2, cell) == {0}
    assert lost_by_the_engine(steps, G3, cell) == set()  # the hint has cleared the chunk before
    page_chunks = replace(cell, chunk_pages=1)
    assert lost_by_the_engine(steps, G2, page_chunks) == set()  # no neighbour is in the chunk
    late = Cell("G3", True, 2, 2, 2, False, False, "lost")
    steps = oracle.parse_trail(G3_LATE_HINT)
    assert lost_by_the_engine(steps, G3, late) == {0}
    assert lost_by_the_engine(steps, G2, late) == set()  # no page of the chunk is sent
