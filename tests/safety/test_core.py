"""The explorer's guest of the protocol core, and its verdicts beside the oracle's."""

import re
from dataclasses import replace

import pytest

from freehint.config import InputError
from freehint.safety.check import check_owners
from freehint.safety.core import ACKNOWLEDGED, CoreCase
from freehint.safety.exhaust import agree
from freehint.safety.exhaust.agree import BEGIN, END, PAGE, case_of, compare, slices
from freehint.safety.exhaust.explore import explore
from freehint.safety.guest import DISCARDED, FINE
from freehint.safety.oracle import Cell, cells, cells_with_bugs, known_verdicts
from freehint.safety.trace import Player


def small_cells() -> list[Cell]:
    """Cells with one block that are searched in a second: some violated, some exhausted."""
    small = [one for one in cells() + cells_with_bugs() if one.blocks == 1 and one.initially_set]
    return [
        one
        for one in small
        if one.discarding == (one.violation == "destroyed")
        and (one.acknowledged or one.generation != "G1" or one.violation == "destroyed")
    ]


def test_every_cell_is_a_case_of_its_own():
    cases = [case_of(cell) for cell in cells()]
    assert len(set(cases)) == len(cases) == 108
    for cell, case in zip(cells(), cases, strict=True):
        assert len(case.frames) == cell.blocks * cell.block_pages
        watched = [one.watched for one in slices(case)]
        assert len(set(watched)) == len(watched) > 0


def test_small_cells_have_spins_verdict():
    table = compare(small_cells())
    assert len(table) == 12 and set(table.spin) == {"violated", "exhausted"}
    assert table.agree.all(), table.to_string()


def test_a_hinter_that_does_not_wait_is_told_from_one_that_does(monkeypatch):
    """The comparison can fail: acknowledged cells, but blocks that are not isolated."""
    monkeypatch.setattr(agree, "ACKNOWLEDGED", agree.UNLOCKED)
    asked = [one for one in small_cells() if one.acknowledged and one.bug == "none"]
    table = compare(asked)
    assert set(table.spin) == {"exhausted"} and not table.agree.all()
    assert set(table.verdict[~table.agree]) == {"violated"}


def test_a_slice_says_what_the_whole_guest_says():
    case = replace(case_of(Cell("G2", True, 4, 1, 2, True, False, "lost")), rounds=1)
    whole = explore(case)
    assert whole.exhausted and whole.violation == FINE
    of_slices = [explore(one) for one in slices(case)]
    assert all(one.exhausted and one.violation == FINE for one in of_slices)
    assert whole.states > sum(one.states for one in of_slices)


def test_the_page_has_the_comparison():
    known = known_verdicts()
    _, _, rest = PAGE.read_text().partition(BEGIN)
    rows = re.findall(r"^\| (G\d) \| (.*) \|$", rest.partition(END)[0], re.MULTILINE)
    count = 0
    for generation, text in rows:
        chunk, blocks, acknowledged, asked, bug, number, spin, _, _, explorer, *_ = text.split(
            " | "
        )
        number_of_blocks, pages = map(int, blocks.split(" x "))
        told = (generation, pages, number_of_blocks, int(chunk), acknowledged == "yes", asked, bug)
        same = [verdict for cell, verdict in known.items() if _as_told(cell) == told]
        assert {spin, explorer} == set(same) and len(same) == int(number)
        count += len(same)
    assert count == len(known)


def _as_told(cell: Cell) -> tuple:
    pages = (cell.block_pages, cell.blocks, cell.chunk_pages)
    return (cell.generation, *pages, cell.acknowledged, cell.violation, cell.bug)


def test_the_vcpu_has_all_blocks_at_first_and_takes_back_any():
    player = Player(CoreCase())
    assert check_owners(player.pinned) == FINE
    player.play(0x0B)  # frees a block
    player.play(0x0B)  # and the other
    for block in (1, 0):
        assert block in player.possible()
    said, _ = player.play(0x01)
    assert said == "vCPU 0 allocates pages 8..9"


def test_an_isolated_block_waits_for_the_host():
    player = Player(CoreCase(blocks=1, report=ACKNOWLEDGED))
    for step in (0x0B, 0x40, 0x50, 0x21):  # free, begin, the command, the stroke of block 0
        assert player.play(step)[1] == FINE
    assert 0x00 not in player.possible()
    player = Player(CoreCase(blocks=1))
    for step in (0x0B, 0x40, 0x50, 0x21):
        player.play(step)
    assert 0x00 in player.possible()


def test_only_the_loss_that_is_asked_for_ends_a_search():
    found = explore(CoreCase(blocks=1, chunk=1, discard=True, loses="destroyed"))
    assert found.violation == DISCARDED
    player = Player(CoreCase(blocks=1, chunk=1, discard=True, loses="lost"))
    assert [player.play(step)[1] for step in found.steps] == [FINE] * len(found.steps)


def test_a_policy_of_the_thread_is_no_core():
    with pytest.raises(InputError, match=r"explore\.policy"):
        CoreCase(policy="v24")
