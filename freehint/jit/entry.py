"""What is kept of a kernel's entry for Python: machine code alone.

Numba would keep LLVM's code too, for other kernels to link: nobody links an entry, and it takes
longer to read than all the rest.
"""

from numba.core.codegen import JITCodeLibrary

ENTRY = "entry"  # the kind of a kept library that no other links


class KeptLibrary(JITCodeLibrary):
    """A library that may come from :func:`as_entry`."""

    @classmethod
    def _unserialize(cls, codegen, state):
        name, kind, data = state
        if kind != ENTRY:
            return super()._unserialize(codegen, state)
        made = codegen.create_library(name)
        made.enable_object_caching()
        code, names = data
        made._set_compiled_object(code)
        made._finalize_final_module()
        codegen._engine._defined_symbols.update(names)
        return made


def as_entry(compiled) -> tuple:
    """A CompileResult as Numba rebuilds it; its library is machine code and names to look up."""
    library, names, *rest = compiled._reduce()
    name, _, (machine_code, _) = library
    asked = names.llvm_func_name, names.llvm_cpython_wrapper_name
    return (name, ENTRY, (machine_code, asked)), names, *rest
