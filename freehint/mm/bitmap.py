"""Bitmaps of pages, one bit each in uint64 words.

Source: lib/bitmap.c, include/linux/bitops.h."""

import numpy as np

from freehint.jit import kernel

ONE = np.uint64(1)


@kernel(inline=True)
def test_bit(words, page):
    """Is the page's bit set?"""
    return words[np.uint64(page >> 6)] >> np.uint64(page & 63) & ONE != 0


@kernel(inline=True)
def set_bit(words, page):
    """Set the page's bit."""
    words[np.uint64(page >> 6)] |= ONE << np.uint64(page & 63)


@kernel(inline=True)
def clear_bit(words, page):
    """Clear the page's bit."""
    words[np.uint64(page >> 6)] &= ~(ONE << np.uint64(page & 63))


@kernel(inline=True)
def popcount(word):
    """Number of bits that are set in a uint64."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def count_bits(words):
    """Number of pages whose bits are set in a bitmap."""
    total = 0
    for word in words:
        total += popcount(word)
    return total


@kernel(inline=True)
def bits_from(page):
    """Mask of the bits in a word from the bit of ``page`` upward."""
    return ~np.uint64(0) << np.uint64(page & 63)


@kernel(inline=True)
def set_bits(words, first, behind):
    """Set the bits of the pages from ``first`` up to but not including ``behind``, at least one."""
    last = (behind - 1) >> 6
    for word in range(first >> 6, last + 1):
        bits = ~np.uint64(0)
        if word == first >> 6:
            bits &= bits_from(first)
        if word == last:
            bits &= ~np.uint64(0) >> np.uint64(-behind & 63)
        words[np.uint64(word)] |= bits


@kernel(inline=True)
def clear_bits(words, first, behind):
    """Clear the bits of the pages from ``first`` up to but not including ``behind``.

    Returns
    -------
    int
        Number of bits that were set.
    """
    cleared = 0
    for word in range(first >> 6, (behind + 63) >> 6):
        bits = words[np.uint64(word)]
        if word == first >> 6:
            bits &= bits_from(first)
        if word == behind >> 6:
            bits &= ~bits_from(behind)
        cleared += popcount(bits)
        words[np.uint64(word)] &= ~bits
    return cleared
