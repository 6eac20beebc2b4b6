"""The explorer's guest of the protocol core, and its verdicts beside the oracle's."""

import pytest

from freehint.config import InputError
from freehint.safety.check import check_owners
from freehint.safety.core import ACKNOWLEDGED, CoreCase
from freehint.safety.exhaust.agree import case_of, compare, slices
from freehint.safety.exhaust.explore import explore
from freehint.safety.guest import DISCARDED, FINE
from freehint.safety.oracle import Cell, cells, known_verdicts
from freehint.safety.trace import Player


def small_cells() -> list[Cell]:
    """Cells that are violated: their search ends early."""
    known = known_verdicts()
    violated = [cell for cell in cells() if known[cell] == "violated" and cell.initially_set]
    return [cell for cell in violated if cell.blocks == 1][:12]


def test_every_cell_is_a_case_of_its_own():
    cases = [case_of(cell) for cell in cells()]
    assert len(set(cases)) == len(cases) == 108
    for cell, case in zip(cells(), cases, strict=True):
        assert len(case.frames) == cell.blocks * cell.block_pages
        watched = [one.watched for one in slices(case)]
        assert len(set(watched)) == len(watched) > 0


def test_small_cells_have_spins_verdict():
    table = compare(small_cells())
    assert len(table) > 1 and table.agree.all(), table.to_string()


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
