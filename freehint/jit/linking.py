"""How kernels become part of each other: what makes the first simulation wait less.

Numba compiles a function and all that it calls at every level of calls anew, and passes a tuple of
arrays as seven numbers an array: a kernel that gets the World has 300 arguments.  Both cost more
than the kernels themselves, so here

- only the outermost kernel is optimised, once, with everything in it (:class:`LinkedLibrary`);
- a NamedTuple of this package is one argument (:class:`WholeTupleModel`);
- a compiler's flags, which Numba compares at every call that it resolves, are one dict
  (:func:`_values`).

And two things make the compiled code faster: :func:`keep_branches_apart`, and that no index of
this package's kernels counts from an array's end (:func:`_counted_from_the_front`).

Without the second and third a first simulation takes at least a third more CPU time.
"""

import contextlib
import functools
import platform
import threading

import llvmlite.binding
from llvmlite import ir
from numba.core import types, typing
from numba.core.base import BaseContext
from numba.core.codegen import JITCPUCodegen
from numba.core.datamodel import default_manager, models
from numba.core.targetconfig import TargetConfig
from numba.np import arrayobj

from freehint.jit.entry import KeptLibrary

X86 = platform.machine() in ("x86_64", "AMD64")
EXTERNAL = llvmlite.binding.Linkage.external

_compiling = threading.local()


@contextlib.contextmanager
def inner():
    """What compiles meanwhile becomes part of a kernel that compiles already."""
    _compiling.depth = getattr(_compiling, "depth", 0) + 1
    try:
        yield
    finally:
        _compiling.depth -= 1


@functools.cache
def _shortening(codegen) -> tuple:
    """A few of the passes that LLVM would make over a function."""
    manager = llvmlite.binding.create_new_function_pass_manager()
    manager.add_sroa_pass()
    manager.add_simplify_cfg_pass()
    manager.add_instruction_combine_pass()
    return manager, codegen._pass_builder()


def is_inner() -> bool:
    """Does something compile in :func:`inner`?"""
    return getattr(_compiling, "depth", 0) > 0


class LinkedLibrary(KeptLibrary):
    """Code that is linked into other kernels and never runs by itself, if made in :func:`inner`."""

    def __init__(self, codegen, name):
        super().__init__(codegen, name)
        self.only_linked = is_inner()
        self.late = set()  # names of words that its code needs (freehint.jit.late)

    def _optimize_functions(self, ll_module):
        """Optimize what the module defines; Numba would try it on all that it calls, too.

        What is linked is only made short before: it is optimised where it becomes a part.
        """
        ll_module.data_layout = self._codegen._data_layout
        for function in ll_module.functions:
            if not function.is_declaration:
                how = (
                    _shortening if self.only_linked else type(self._codegen)._function_pass_manager
                )
                manager, builder = how(self._codegen)
                manager.run(function, builder)

    def _get_module_for_linking(self):
        """The module, in which nobody may be asked for a function that another module has too.

        Code that runs by itself, too, is copied for this.
        """
        if not self.only_linked:
            return super()._get_module_for_linking()
        if self._shared_module is None:
            self._ensure_finalized()
            self._shared_module = self._final_module
            for function in self._shared_module.functions:
                if not function.is_declaration and function.linkage == EXTERNAL:
                    function.linkage = "linkonce_odr"
        return self._shared_module

    def finalize(self):
        if self.only_linked:
            self._finalized = True
            return
        # At every level of calls anew the deepest code would be copied a dozen times.
        self._linking_libraries = all_linked(self)
        super().finalize()


def all_linked(library) -> list:
    """The libraries that a library needs, and those that they need; each after all that need it.

    LLVM drops a function that nobody has asked for yet, also one that a library linked later needs.
    """
    order, seen = [], {library}
    waiting = [(library, iter(library._linking_libraries))]
    while waiting:
        one, needed = waiting[-1]
        following = next((other for other in needed if other not in seen), None)
        if following is None:
            order.append(one)
            waiting.pop()
        else:
            seen.add(following)
            waiting.append((following, iter(following._linking_libraries)))
    return order[-2::-1]


_set_env_in_engine = JITCPUCodegen.set_env


def _set_env(codegen, env_name, env):
    """Give compiled code its environment, if it is in the engine: linked code is not."""
    if codegen._engine.get_global_value_address(env_name):
        _set_env_in_engine(codegen, env_name, env)


@functools.cache
def _defaults(flags_class) -> dict:
    return {name: option.default for name, option in flags_class.options.items()}


def _values(flags) -> dict:
    """All options of a TargetConfig, as Numba's own loop over properties gives them."""
    return {**_defaults(type(flags)), **flags._values}


_sizes = {}


def _abi_sizeof(context, kind):
    """The size of an LLVM type; llvmlite would parse a module of its own to find it."""
    if kind not in _sizes:
        _sizes[kind] = kind.get_abi_size(context.target_data)
    return _sizes[kind]


def _unless_begun(refresh):
    """Numba looks for new declarations when a kernel begins: for inner kernels there are none."""

    @functools.wraps(refresh)
    def refresh_unless_begun(context):
        if not getattr(_compiling, "begins_inner", False):
            refresh(context)

    return refresh_unless_begun


@contextlib.contextmanager
def beginning():
    """A kernel's compiler is being made meanwhile."""
    _compiling.begins_inner = is_inner()
    try:
        yield
    finally:
        _compiling.begins_inner = False


class WholeTupleModel(models.TupleModel):
    """A NamedTuple that is passed as one value, if its class is the package's.

    Other people's are passed as Numba passes them: their cached code expects that.
    """

    package = ""

    @property
    def _whole(self) -> bool:
        instance = getattr(self._fe_type, "instance_class", None)
        return instance is not None and instance.__module__.split(".")[0] == self.package

    def get_argument_type(self):
        return self.get_value_type() if self._whole else super().get_argument_type()

    def as_argument(self, builder, value):
        return value if self._whole else super().as_argument(builder, value)

    def from_argument(self, builder, value):
        return value if self._whole else super().from_argument(builder, value)


def keep_branches_apart() -> None:
    """Let no branch touch the border of two 32-byte lines of code.

    Processors of Intel's Skylake generation decode such a branch anew each time that it runs: an
    event loop ran at 0.9 of its speed, and which one is hit changed with every edit.  LLVM has
    options for a whole process, so other kernels of Numba compile so too, to the same results.

    Source: Intel, Mitigations for Jump Conditional Code Erratum, 2019.
    """
    if X86:
        llvmlite.binding.set_option("", "--x86-branches-within-32B-boundaries")


def look_back_less() -> None:
    """Let LLVM give up sooner to look for an earlier load of the same place.

    It would look through 200 blocks for each load; the event loop has a thousand of either.  With
    5 it finds as much there and optimises the loop in half of the time.
    """
    llvmlite.binding.set_option("", "--memdep-block-number-limit=5")


def from_the_front(context, builder, kind, index):
    """An index of an array in a kernel of this package, as a signed word.

    Numba tests each signed index for being negative, and adds the length if it is; without that
    the event loop has 1.25 times its speed (docs/limits.md).  Kernels with checked indices refuse
    such an index.
    """
    if kind.signed and isinstance(index, ir.Constant) and index.constant < 0:
        raise TypeError(f"a kernel's index counts from an array's end: {index.constant}")
    return context.cast(builder, index, kind, types.intp)


def _counted_from_the_front(package: str, fix_integer_index):
    """Numba's index of an array, which in kernels of ``package`` does not count from the end."""
    mangled = f"_ZN{len(package)}{package}"

    def index_of(context, builder, kind, index, size):
        if not kind.signed or not builder.function.name.startswith(mangled):
            return fix_integer_index(context, builder, kind, index, size)
        return from_the_front(context, builder, kind, index)

    return index_of


def install(package: str) -> None:
    """Let Numba link kernels so, and pass the NamedTuples of ``package`` whole."""
    keep_branches_apart()
    look_back_less()
    WholeTupleModel.package = package
    default_manager.register(types.NamedTuple, WholeTupleModel)
    TargetConfig.values = _values
    JITCPUCodegen.set_env = _set_env
    BaseContext.get_abi_sizeof = _abi_sizeof
    arrayobj.fix_integer_index = _counted_from_the_front(package, arrayobj.fix_integer_index)
    for context in (BaseContext, typing.BaseContext):
        context.refresh = _unless_begun(context.refresh)
    JITCPUCodegen._library_class = LinkedLibrary
