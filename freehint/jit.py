"""The one door to Numba: :func:`kernel`, and a compile cache that cannot go stale.

The cache (:mod:`freehint.kernel_cache`) keeps a folder for each state of the kernels' sources: any
edit starts a fresh one.  ``FREEHINT_CACHE_DIR`` chooses the place (default: the user's cache
folder).  Where no folder can be written the kernels still compile, in memory, once per process.
Under ``NUMBA_DISABLE_JIT=1`` the same functions run as plain Python.
"""

import hashlib
import os
import sys
from pathlib import Path

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from freehint import linking
from freehint.kernel_cache import KernelCache, writable

PACKAGE = Path(__file__).parent
# Files and folders without kernels; editing them must not cost a recompilation.
NOT_KERNELS = (
    "figures",
    "answers.py",
    "panels.py",
    "chapters",
    "migration_figures.py",
    "overcommit.py",
    "overcommit_figures.py",
    "widgets",
    "report.py",
    "run_report.py",
    "run_page.py",
    "run_figures.py",
    "pdf.py",
    "scenario_file.py",
    "rebuild.py",
    "reproduce.py",
    "run.py",
    "run_tables.py",
    "summary.py",
    "simulate.py",
    "user.py",
    "strokes.py",
    "engine.py",
    "parameters.py",
    "batch.py",
    "batch_plan.py",
    "batch_folder.py",
    "batch_run.py",
    "batch_worker.py",
    "gallery.py",
    "cli.py",
    "sweep.py",
    "sweep_file.py",
    "design.py",
    "factors.py",
    "sampling.py",
    "workers.py",
    "processes.py",
    "cluster.py",
    "run_parts.py",
    "sensitivity.py",
    "objective.py",
    "optimise.py",
    "extras.py",
    "factorial.py",
    "compile_benchmark.py",
    "compile_figures.py",
    "growth.py",
    "speed_figures.py",
    "properties.py",
    "files.py",
    "findings.py",
    "progress.py",
    "formats",
    "data.py",
    "palette.py",
    "payload.py",
    "recorder.py",
    "thread_run.py",
    "trajectory.py",
    "warm.py",
    "mm/reference",
)


def source_hash(package: Path = PACKAGE) -> str:
    """Hash every kernel source of the package, with the versions that shape machine code.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    # Bounds checks change the code but are not in Numba's own key.
    digest.update(str(numba_config.BOUNDSCHECK).encode())
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if not any(relative.is_relative_to(part) for part in NOT_KERNELS):
            digest.update(str(relative).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_bases() -> list[Path]:
    """Where folders of compiled kernels may lie; the first that can be written is used."""
    chosen = os.environ.get("FREEHINT_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [Path(home) / "freehint", PACKAGE / "__pycache__" / "kernels"]


def cache_folders() -> tuple[Path | None, tuple]:
    """Where this version's compiled kernels are kept, or None, and where else they are looked for.

    The second is a folder that somebody else has filled, such as that of a read-only installation.
    """
    folders = [base / source_hash() for base in cache_bases()]
    kept = next(filter(writable, folders), None)
    return kept, tuple(folder for folder in folders if folder != kept and folder.is_dir())


CACHE_FOLDER, OTHER_FOLDERS = (None, ()) if numba_config.DISABLE_JIT else cache_folders()


linking.install(PACKAGE.name)


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
        return super().get_call_template(tuple(map(_plain_integer, args)), kws)

    def compile(self, signature):
        with linking.inner():
            return super().compile(signature)

    def __reduce__(self):
        """Pickled by name, as functions are: a worker process finds what is compiled already."""
        return self.__qualname__

    def __call__(self, *args):
        entry = self.entry
        if entry is None:
            if not self.from_python and not self.compile_helpers:
                return self.plain(*args)
            entry = self.entry = _compile_cached(self.py_func)
        return entry(*args)


def kernel(function=None, *, inline=False, cold=False, plain=None):
    """Compile a function.

    ``inline=True``: a helper of other kernels, which Python runs as plain Python; ``plain``: as
    this function, where its own source has none.
    ``cold=True``: seldom called by others, so it stays a function of its own: less to compile.

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
        return lambda f: kernel(f, inline=inline, cold=cold, plain=plain)
    if numba_config.DISABLE_JIT:
        return plain or function
    made = numba.njit(
        forceinline=not cold,
        nogil=True,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    made.__class__ = Kernel
    made.from_python = not inline
    made.plain = plain or function
    made.entry = None  # compiled at the first call from Python
    return made


def as_python(function):
    """The plain Python function behind a kernel: for numpy arrays in place of numbers."""
    return getattr(function, "py_func", function)


def _compile_cached(function):
    """A compiled function that Python can call; kept on disk if it is one of the package's."""
    made = numba.njit(nogil=True)(function)
    if Path(function.__code__.co_filename).is_relative_to(PACKAGE):
        made._cache = KernelCache(function, CACHE_FOLDER, OTHER_FOLDERS)
    return made


@intrinsic
def _prefetch(typing_context, array, index):
    """Ask for the cache line of ``array[index]``, an index into the flat data."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        call = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address.type, number, number, number]),
            "llvm.prefetch.p0",
        )
        builder.call(call, [address, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), build


def _no_prefetch(array, index):
    """Plain Python has no cache lines."""


@kernel(inline=True, plain=_no_prefetch)
def prefetch(array, index):
    """Ask for the cache line of ``array.flat[index]``, which is wanted a few 100 ns later."""
    _prefetch(array, index)


@intrinsic
def _add_at(typing_context, array, index, change):
    """Add to the flat data of an int64 array."""

    def build(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(data, [arguments[1]])
        value = builder.add(builder.load(address), arguments[2])
        builder.store(value, address)
        return value

    return types.int64(array, index, change), build


def _plain_add_at(array, index, change):
    array.flat[index] += change
    return int(array.flat[index])


@kernel(inline=True, plain=_plain_add_at)
def add_at(array, index, change):
    """``array.flat[index] += change`` in a contiguous int64 array; the new value.

    Numba's index into three dimensions multiplies by shapes that it has to load: with this
    one the allocator's operations take 0.93 of the time (``make bench``).
    """
    return _add_at(array, index, change)
