"""What Numba does to a kernel before LLVM sees it, without the steps that no kernel needs.

Kernels hold no closures, no ``with`` blocks, no array expressions, no loops over literals and no
calls to be inlined by Numba.  The passes that look for these find nothing, and cost as much as
those that work.
"""

import dis
import functools
import importlib.util
import sys

from numba.core import transforms
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.interpreter import Interpreter
from numba.core.ir_utils import build_definitions
from numba.core.rewrites.static_getitem import RewriteConstGetitems, RewriteConstSetitems
from numba.core.rewrites.static_raise import RewriteConstRaises
from numba.core.ssa import reconstruct_ssa
from numba.core.typed_passes import (
    BaseNativeLowering,
    IRLegalization,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, ReconstructSSA

from freehint.jit import linking
from freehint.jit.lowering import KernelLower


def _step(run):
    """A pass of Numba's machinery from a function of the compiler's state."""

    class Step(FunctionPass):
        _name = f"kernel_{run.__name__}"

        def __init__(self):
            super().__init__()

        def run_pass(self, state):
            run(state)
            return True

    return register_pass(mutates_CFG=True, analysis_only=False)(Step)


_STARS = frozenset(map(dis.opmap.get, ("CALL_FUNCTION_EX", "LIST_EXTEND", "DICT_MERGE")))


class _Interpreter(Interpreter):
    """Numba's reader of bytecode, which looks for ``f(*list)`` and the like where there are any."""

    def post_process(self, peepholes, func_ir):
        if _STARS.isdisjoint(func_ir.func_id.code.co_code[::2]):
            return func_ir
        return super().post_process(peepholes, func_ir)


@_step
def read_bytecode(state):
    """What the function does, statement by statement."""
    state.func_ir = _Interpreter(state.func_id).interpret(state.bc)


@_step
def clean(state):
    """Blocks that can be reached, and no two where one would do."""
    state.func_ir.blocks = transforms.canonicalize_cfg(state.func_ir.blocks)


@_step
def rewrite(state):
    """Constant indices and raised exceptions in the forms that lowering knows."""
    blocks = state.func_ir.blocks
    for one in (RewriteConstGetitems, RewriteConstSetitems, RewriteConstRaises):
        rewriting = one(state)
        waiting = list(blocks.items())
        while waiting:
            key, block = waiting.pop()
            if rewriting.match(state.func_ir, block, state.typemap, state.calltypes):
                blocks[key] = rewriting.apply()
                waiting.append((key, blocks[key]))


@_step
def single_assignment(state):
    """A name for each value."""
    state.func_ir = reconstruct_ssa(state.func_ir)
    ReconstructSSA._patch_locals(None, state)
    state.func_ir._definitions = build_definitions(state.func_ir.blocks)


@_step
def without_phis(state):
    """Values that come from several blocks are stored in each."""
    state.func_ir = PreLowerStripPhis._strip_phi_nodes(None, state.func_ir)
    state.func_ir._definitions = build_definitions(state.func_ir.blocks)


@_step
def end_lifetimes(state):
    """Note where variables die, if somebody counts references to what they hold."""
    if state.flags.nrt:
        IRLegalization.run_pass(None, state)


@register_pass(mutates_CFG=True, analysis_only=False)
class Lowering(BaseNativeLowering):
    """LLVM's input, and for the outermost kernel machine code."""

    _name = "kernel_lowering"

    def __init__(self):
        super().__init__()

    @property
    def lowering_class(self):
        """What writes it."""
        return KernelLower


PASSES = (
    read_bytecode,
    FixupArgs,
    clean,
    rewrite,
    single_assignment,
    NopythonTypeInference,
    without_phis,
    end_lifetimes,
    Lowering,
    NoPythonBackend,
)


class _Passes(PassManager):
    """Passes in a row, and nothing between them.

    Numba would rebuild what it knows of a function after each of them, time it and tell listeners.
    """

    def _runPass(self, index, pss, internal_state):
        pss.analysis = self._analysis
        pss.run_pass(internal_state)


@functools.cache
def load_array_functions() -> None:
    """Load what Numba knows of arrays, without SciPy's linear algebra.

    Numba imports that, which takes a quarter of a second, only to see whether it is there.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    from numba.np import linalg

    ensure, linalg.ensure_blas = linalg.ensure_blas, _ensure_scipy
    try:
        from numba.np import arraymath
    finally:
        linalg.ensure_blas = ensure
    arraymath.ensure_blas = ensure


def _ensure_scipy() -> None:
    if importlib.util.find_spec("scipy") is None:
        raise ImportError("no SciPy")


class KernelCompiler(CompilerBase):
    """Numba's compiler with the passes that kernels need."""

    def __init__(self, *about):
        load_array_functions()
        with linking.beginning():
            super().__init__(*about)

    def define_pipelines(self):
        """The one pipeline."""
        manager = _Passes("kernel")
        for one in PASSES:
            manager.add_pass(one, one._name)
        manager.finalize()
        return [manager]
