"""Random numbers that are the same on every machine, for any number of threads.

Each schedule has a stream of its own, which its number and the seed give.
Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

import numpy as np

from freehint.jit import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel(inline=True)
def mixed(value):
    """A 64-bit number whose bits all depend on all bits of another; mix64() of SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel(inline=True)
def begin_stream(stream, seed, number):
    """Set a stream, a uint64[1], to the beginning of a schedule's own."""
    stream[0] = mixed(mixed(np.uint64(seed) + GOLDEN) + np.uint64(number) * GOLDEN)


@kernel(inline=True)
def below(stream, n):
    """The next number of a stream, from 0 to n - 1.  The bias is below n / 2^64."""
    stream[0] += GOLDEN
    return np.int64(mixed(stream[0]) % np.uint64(n))
