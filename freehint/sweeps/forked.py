"""What a sweep's worker processes are forked from: all is imported, and common kernels are loaded.

It has started no thread, which a fork of the calling process could not promise: a fork copies the
locks that other threads hold, and nobody opens the copies.
"""

from freehint.engine import pressure_turns, turns
from freehint.engine.guest import recorded_trace
from freehint.engine.guest.pressure import start
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.sweeps import pools  # the workers' own module

simulate(Scenario(memory="64MiB", duration_ns=1_000_000, walk_at_ns=100_000))

# Beside the workers' module, what a simulation imports only when it is needed.
__all__ = ["pools", "pressure_turns", "recorded_trace", "start", "turns"]
