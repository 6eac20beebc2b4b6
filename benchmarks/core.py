"""Is the core shared?  Its other hardware thread may belong to a neighbour who is not seen here.

Two threads of one core share its execution units.  Code that keeps them busy then takes up to half
as long again, code that waits (for a mispredicted branch, for memory) hardly longer.  So ratios
between the two change, with no edit: a burst of allocations was 1.24 times as fast as C alone on
the core, and as fast as C beside a busy thread.  CPU time counts such time in full.

The mark is the time of eight chains of shifts, more than any core can carry out at once.
"""

from time import thread_time_ns

import numpy as np

from freehint.jit import kernel

RUNS, STEPS = 3, 10_000
# Nine in ten marks of a core that is alone lie within 2 % of the least one; beside a busy thread
# they are 20 to 90 % longer.
ALONE = 1.1


@kernel
def shifted(words, steps):
    """Eight xorshift generators side by side, a step each: none waits for another."""
    a, b, c, d = words[0], words[1], words[2], words[3]
    e, f, g, h = words[4], words[5], words[6], words[7]
    for _ in range(steps):
        a, b, c, d = a ^ (a << 13), b ^ (b << 13), c ^ (c << 13), d ^ (d << 13)
        e, f, g, h = e ^ (e << 13), f ^ (f << 13), g ^ (g << 13), h ^ (h << 13)
        a, b, c, d = a ^ (a >> 7), b ^ (b >> 7), c ^ (c >> 7), d ^ (d >> 7)
        e, f, g, h = e ^ (e >> 7), f ^ (f >> 7), g ^ (g >> 7), h ^ (h >> 7)
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h


def mark_ns() -> float:
    """Nanoseconds of CPU time a step, now: the least of a few, as an interrupt only adds to it."""
    words, times = np.arange(1, 9), []
    for _ in range(RUNS):
        begin = thread_time_ns()
        shifted(words, STEPS)
        times.append(thread_time_ns() - begin)
    return min(times) / STEPS
