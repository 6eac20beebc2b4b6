"""While a large kernel compiles, a bar tells how far it is: nothing else explains the wait."""

import contextlib
import sys

DELAY_S = 1  # small kernels are compiled before anybody wonders


class Compilation:
    """The compilation of one kernel that Python calls, with all kernels inside it.

    Parameters
    ----------
    kernel : function
        The plain function; the kernels that it and its callees name are counted.
    is_kernel : callable
        It tells whether an object is a kernel.
    """

    def __init__(self, kernel, is_kernel):
        self.kernel, self.is_kernel = kernel, is_kernel
        self.done = set()
        self.bar = None
        self.seen = _somebody_looks()

    def inner_done(self, function) -> None:
        """One of the kernels inside has been compiled."""
        if not self.seen:
            return
        if self.bar is None:
            self.bar = _bar(len(kernels_inside(self.kernel, self.is_kernel)))
        if function not in self.done:
            self.done.add(function)
            self.bar.update()

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()


def kernels_inside(function, is_kernel) -> set:
    """The functions of all kernels that a function names, and those that they name."""
    found, new = set(), [function]
    while new:
        one = new.pop()
        for name in one.__code__.co_names:
            value = one.__globals__.get(name)
            if is_kernel(value) and value.py_func not in found:
                found.add(value.py_func)
                new.append(value.py_func)
    return found


def _bar(total: int):
    # Imported late: a process that finds its kernels on disk, or that nobody looks at, needs none.
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        desc="compiling, once on this machine",
        bar_format="{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}",
        leave=False,
        delay=DELAY_S,
    )


def _somebody_looks() -> bool:
    """Is there a terminal or a notebook?"""
    with contextlib.suppress(AttributeError, ValueError):
        if sys.stderr.isatty():
            return True
    return "ipykernel" in sys.modules
