"""What Numba does to a kernel before LLVM sees it, without the steps that no kernel needs.

Kernels hold no closures, no ``with`` blocks, no array expressions, no loops over literals and no
calls to be inlined by Numba.  The passes that look for these find nothing, and cost as much as
those that work.
"""

from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

from freehint.jit import linking

PASSES = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    GenericRewrites,
    ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
)


class _Passes(PassManager):
    """Passes in a row; Numba would rebuild what it knows of a function after each of them.

    The passes here rebuild it themselves where they need it.
    """

    _ENFORCING = False


class KernelCompiler(CompilerBase):
    """Numba's compiler with the passes that kernels need."""

    def __init__(self, *about):
        with linking.beginning():
            super().__init__(*about)

    def define_pipelines(self):
        """The one pipeline."""
        manager = _Passes("kernel")
        for one in PASSES:
            manager.add_pass(one, one.__name__)
        manager.finalize()
        return [manager]
