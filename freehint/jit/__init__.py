"""The one door to Numba: :func:`kernel` compiles, and a cache keeps what was compiled."""

from freehint.jit.flat import add_at, prefetch, seldom, store_pair
from freehint.jit.kernel import Kernel, as_python, is_ours, kernel

__all__ = ["Kernel", "add_at", "as_python", "is_ours", "kernel", "prefetch", "seldom", "store_pair"]
