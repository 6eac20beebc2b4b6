"""The one door to Numba: :func:`kernel`, and a compile cache that cannot go stale.

The cache (:mod:`freehint.jit.cache`) keeps a folder for each state of the kernels' sources: any
edit starts a fresh one.  ``FREEHINT_CACHE_DIR`` chooses the place (default: the user's cache
folder).  Where no folder can be written the kernels still compile, in memory, once per process.
Under ``NUMBA_DISABLE_JIT=1`` the same functions run as plain Python.
"""

import os

import numba
from numba.core import config as numba_config
from numba.core import types, typing
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from freehint.inputs.collector import Kept
from freehint.jit import linking, quiet, sparing
from freehint.jit.cache import CACHE_FOLDER, OTHER_FOLDERS, KernelCache
from freehint.jit.closure import PACKAGE
from freehint.jit.late import NotCompiledError, reason
from freehint.jit.pinned import PinnedTuple
from freehint.jit.pipeline import KernelCompiler
from freehint.jit.progress import Compilation

sparing.install()  # first: linking leaves out refreshes, which are not to count as done
linking.install(PACKAGE.name)
quiet.install()


def _plain_integer(kind):
    """int64 for constants and for what fits in it."""
    kind = types.unliteral(kind)
    narrow = isinstance(kind, types.Integer) and kind.bitwidth < 64
    return types.int64 if narrow else kind


class Kernel(CPUDispatcher):
    """A kernel as other kernels see it; called from Python it is a compiled function of its own.

    ``from_python`` False: a helper, which Python runs as plain Python, as loaders do here and
    there: compiling an entry for it would cost more than all such calls together.  Tests set
    ``Kernel.compile_helpers``.
    """

    compile_helpers = False

    def get_call_template(self, args, kws):
        """One body for all integers: Numba would compile one for every constant and width.

        Constants are seen again when the kernel becomes part of its caller.
        """
        if CheckedEntry.compiles and not self.checks:
            return self.checking().get_call_template(args, kws)
        args = tuple(map(_plain_integer, args))
        if kws:
            return self._template(args, kws)
        # Numba would make a class for each call.
        if args not in self.templates:
            self.templates[args] = self._template(args, kws)
        return self.templates[args]

    def _template(self, args, kws):
        if not self.is_late(args):
            return super().get_call_template(args, kws)
        pysig, args = self._compiler.fold_argument_types(args, kws)
        told = [typing.signature(self.late, *args)]
        name = self.py_func.__name__
        return typing.make_concrete_template(name, key=name, signatures=told), pysig, args, {}

    def get_overload(self, signature):
        """What a caller calls."""
        if CheckedEntry.compiles and not self.checks:
            return self.checking().get_overload(signature)
        if self.is_late(signature):
            self.compile(tuple(signature))  # Numba's own lowering calls it directly
        return super().get_overload(signature)

    def is_late(self, arguments) -> bool:
        """Do callers with arguments of such types call it by address (freehint.jit.late)?"""
        late = self.late is not None and not CheckedEntry.compiles
        return late and isinstance(arguments[0], PinnedTuple)

    def compiled(self, arguments):
        """What Numba knows of the function that a caller calls with arguments of such types."""
        if CheckedEntry.compiles and not self.checks:
            return self.checking().overloads[arguments]
        return self.overloads[arguments]

    def checking(self):
        """The same kernel with checked indices, as kernels with checked indices call it."""
        if self.twin is None:
            self.twin = _inner(self.py_func, self.targetoptions["forceinline"], checks=True)
        return self.twin

    def call_checked(self, *args):
        """Call it from Python with checked indices, here and in all kernels that it calls."""
        if self.checked_entry is None:
            self.checked_entry = checked_entry(self.py_func)
        return self.checked_entry(*args)

    def compile(self, signature):
        known = self.overloads.get(signature)
        if known is not None:
            return known.entry_point
        with linking.inner():
            compiled = super().compile(signature)
        if CachedEntry.compilation is not None:
            CachedEntry.compilation.inner_done(self.py_func)
        return compiled

    def __reduce__(self):
        """Pickled by name, as functions are: a worker process finds what is compiled already."""
        return self.__qualname__

    def __call__(self, *args):
        entry = self.entry
        if entry is None:
            if not self.from_python and not self.compile_helpers:
                return self.plain(*args)
            entry = self.python_entry()
        try:
            return entry(*args)
        except NotCompiledError as error:
            raise reason(error) from None

    def python_entry(self):
        """What Python calls; it compiles when it is called first."""
        if self.entry is None:
            self.entry = _compile_cached(self.py_func, self.allocates)
        return self.entry


class CachedEntry(CPUDispatcher):
    """A kernel's entry for Python, kept on disk; several processes compile it once."""

    compilation = None  # the one that runs

    def compile(self, signature):
        # Numba's own lock: another thread must not release what this one holds.
        with global_compiler_lock, quiet.untimed(), Kept():
            before = CachedEntry.compilation
            CachedEntry.compilation = Compilation(
                self.py_func, lambda value: isinstance(value, Kernel) and value.late is None
            )
            try:
                return super().compile(signature)
            finally:
                CachedEntry.compilation.close()
                CachedEntry.compilation = before
                self._cache.release()


class CheckedEntry(CPUDispatcher):
    """A kernel's entry for Python in which every index is checked, kept nowhere."""

    compiles = False  # while one compiles, kernels that it calls check their indices too

    def compile(self, signature):
        with global_compiler_lock, quiet.untimed(), Kept():
            before, CheckedEntry.compiles = CheckedEntry.compiles, True
            try:
                return super().compile(signature)
            finally:
                CheckedEntry.compiles = before


def kernel(function=None, *, inline=False, cold=False, late=None, allocates=False, plain=None):
    """Compile a function.

    ``inline=True``: a helper of other kernels, which Python runs as plain Python; ``plain``: as
    this function, where its own source has none.
    ``cold=True``: seldom called by others, so it stays a function of its own: less to compile.
    ``allocates=True``: it makes arrays and counts references to them, so no other can call it.
    ``late``: compiled when another kernel first calls it, which takes a pinned tuple first and
    returns this (NOTHING, FLAG, NUMBER, PAIR or TRIPLE of :mod:`freehint.jit.apart`).

    What Python calls is cached on disk.  Inside, kernels become part of their callers and never
    count references: a call passes every array of its NamedTuples, and touches their counts,
    which costs three to six times the work itself (``make bench``).

    Examples
    --------
    >>> @kernel
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """
    if function is None:
        options = {"inline": inline, "cold": cold, "late": late, "allocates": allocates}
        return lambda f: kernel(f, **options, plain=plain)
    if numba_config.DISABLE_JIT:
        return plain or function
    made = _inner(function, not cold)
    made.late, made.allocates = late, allocates
    made.from_python = not inline
    made.plain = plain or function
    return made


def _inner(function, forceinline: bool, checks=False) -> Kernel:
    """A kernel as others see it; with ``checks`` its indices are checked."""
    made = numba.njit(
        forceinline=forceinline,
        nogil=True,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        boundscheck=checks,
        pipeline_class=_compiler(function),
    )(function)
    made.__class__ = Kernel
    made.checks, made.late, made.templates = checks, None, {}
    if is_ours(function):
        # The name of a kernel that is an argument, in the cache's keys: no address stands in it.
        made._type.name = f"Kernel({function.__module__}.{function.__qualname__})"
    made.twin = made.entry = made.checked_entry = None  # compiled at the first call
    return made


def as_python(function):
    """The plain Python function behind a kernel: for numpy arrays in place of numbers."""
    return getattr(function, "py_func", function)


def is_ours(function) -> bool:
    """Is a function or kernel written in a file of this package?"""
    code = getattr(as_python(function), "__code__", None)
    return code is not None and code.co_filename.startswith(f"{PACKAGE}{os.sep}")


def _compiler(function):
    """Kernels of this package need few of Numba's passes; other people's may need any."""
    return KernelCompiler if is_ours(function) else Compiler


def _compile_cached(function, allocates: bool):
    """A compiled function that Python can call; kept on disk if it is one of the package's.

    Its arrays belong to who calls it, so it counts no references unless it makes some itself:
    to count was a fifth of LLVM's input.
    """
    counts = allocates or not is_ours(function)
    made = numba.njit(
        nogil=True, no_cfunc_wrapper=True, _nrt=counts, pipeline_class=_compiler(function)
    )(function)
    if is_ours(function):
        made.__class__ = CachedEntry
        made._cache = KernelCache(function, CACHE_FOLDER, OTHER_FOLDERS)
    return made


def checked_entry(function):
    """A compiled function with checked indices that Python can call; no file keeps it."""
    made = numba.njit(
        nogil=True, no_cfunc_wrapper=True, boundscheck=True, pipeline_class=_compiler(function)
    )(function)
    made.__class__ = CheckedEntry
    return made
