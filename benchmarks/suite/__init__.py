"""The parts of the benchmark, by name: each a function (C library, quick?) -> rows.

Programs of their own, because they take long or need more: :mod:`benchmarks.growth` (cost against
size), :mod:`benchmarks.sweeps`, :mod:`benchmarks.player` and :mod:`benchmarks.lab`.
"""

from benchmarks.suite.allocator import allocator_operations, plain_python, sizes, walks
from benchmarks.suite.bitmaps import bitmaps
from benchmarks.suite.engine import events, migrations, peers
from benchmarks.suite.limits import limits
from benchmarks.suite.recordings import replays, traces
from benchmarks.suite.starts import first_result
from benchmarks.suite.terabyte import largest_guest
from benchmarks.suite.tried import tried

PARTS = {
    "allocator": allocator_operations,
    "walks": walks,
    "plain": plain_python,
    "bitmaps": bitmaps,
    "events": events,
    "peers": peers,
    "migrations": migrations,
    "memory": sizes,
    "terabyte": largest_guest,
    "replays": replays,
    "traces": traces,
    "starts": first_result,
    "limits": limits,
    "tried": tried,
}
# Short enough to be measured in several processes, whose differences count as noise.
IN_PROCESSES = ("allocator", "walks", "plain", "bitmaps", "peers", "tried")
