"""The bitmap kernels, a word at a time, against sets of pages and against numpy's."""

import numpy as np
import pytest

from freehint.engine.world.dirty import (
    G1,
    G2,
    G3,
    clear_chunk,
    clear_hinted,
    new_dirty_log,
    next_dirty,
    sync_bitmap,
)
from freehint.mm.bitmap import clear_bits, count_bits, set_bits

WORDS = 64


def drawn(seed: int, share: float) -> np.ndarray:
    """Words in which about this share of the bits is set."""
    bits = np.random.default_rng(seed).random(64 * WORDS) < share
    return np.packbits(bits, bitorder="little").view(np.uint64)


def pages(words) -> set:
    """Numbers of the bits that are set."""
    return set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_a_range_of_any_place_and_length_is_cleared_and_counted(share):
    chance = np.random.default_rng(7)
    edges = [(0, 64), (63, 65), (64, 64), (5, 6), (0, 64 * WORDS), (64 * WORDS - 1, 64 * WORDS)]
    for first, behind in [*edges, *np.sort(chance.integers(0, 64 * WORDS + 1, (200, 2)), axis=1)]:
        words = drawn(1, share)
        before, hit = pages(words), set(range(first, behind))
        assert clear_bits(words, int(first), int(behind)) == len(before & hit)
        assert pages(words) == before - hit


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_range_of_any_place_and_length_is_set(share):
    chance = np.random.default_rng(7)
    edges = [(0, 64), (63, 65), (5, 6), (128, 256), (0, 64 * WORDS), (64 * WORDS - 1, 64 * WORDS)]
    for first, length in chance.integers(1, 32 * WORDS, (100, 2)).tolist():
        edges.append((first, first + length))
    for first, behind in edges:
        words = drawn(1, share)
        expected = pages(words) | set(range(first, behind))
        set_bits(words, first, behind)
        assert pages(words) == expected


@pytest.mark.parametrize("order", range(11))
def test_a_hint_takes_a_blocks_pages_and_no_others(order):
    log = new_dirty_log(64 * WORDS, G3)
    log.bitmap[:] = drawn(order, 0.5)
    before, node = pages(log.bitmap), 3 << order if order < 10 else 1 << order
    hit = set(range(node, node + (1 << order)))
    assert clear_hinted(log, node, order) == len(before & hit)
    assert pages(log.bitmap) == before - hit


@pytest.mark.parametrize("shift", [0, 1, 5, 6, 7, 11, 12, 18])
def test_a_chunk_of_any_size_is_cleared_once_in_what_the_sync_saw(shift):
    log = new_dirty_log(64 * WORDS, G2, shift)
    log.log[:] = drawn(1, 0.5)
    sync_bitmap(log)
    log.log[:] |= drawn(2, 0.5)
    before, seen = pages(log.log), pages(log.seen)
    for page in (0, 1, 77, 64 * WORDS - 1):
        first = page >> shift << shift
        before -= seen & set(range(first, first + (1 << shift)))
        clear_chunk(log, page)
        assert pages(log.log) == before
        log.log[page >> 6] |= np.uint64(1 << (page & 63))  # written again, and not cleared again
        before.add(page)
        clear_chunk(log, page)
        assert pages(log.log) == before


@pytest.mark.parametrize("generation", [G1, G3])
def test_a_sync_counts_what_is_new_and_what_is_left_as_numpy_does(generation):
    log = new_dirty_log(64 * WORDS, generation)
    log.bitmap[:], log.log[:] = drawn(1, 0.3), drawn(2, 0.3)
    bitmap, logged = log.bitmap.copy(), log.log.copy()
    new, left = sync_bitmap(log)
    assert new == np.bitwise_count(logged & ~bitmap).sum() > 0
    assert left == np.bitwise_count(logged | bitmap).sum() == count_bits(log.bitmap)
    assert np.array_equal(log.bitmap, logged | bitmap) and np.array_equal(log.seen, logged)
    assert np.array_equal(log.log, logged if generation == G3 else 0 * logged)


@pytest.mark.parametrize("share", [0, 0.0005, 0.1, 1])
def test_the_next_page_to_send_is_found_from_anywhere(share):
    log = new_dirty_log(64 * WORDS)
    log.bitmap[:] = drawn(3, share)
    there = np.array(sorted(pages(log.bitmap)))
    for page in (0, 1, 63, 64, 65, 1000, 64 * WORDS - 1, 64 * WORDS):
        later = there[there >= page]
        assert next_dirty(log, page) == (later[0] if len(later) else -1)
