"""For all tests: helpers called from Python are the compiled ones, so that those are tested."""

from freehint.jit import Kernel

Kernel.compile_helpers = True
