"""Kernels that are compiled when another kernel calls them for the first time.

A kernel becomes part of each that calls it, and most runs never come to much of that: a fault, a
reserve, a fallback, a violation.  ``@kernel(cold=True, late=RETURNED)`` stays outside.  Its callers
know three words (:class:`Slot`): its address, or 0; then they call back into Python, which compiles
it, or finds it on disk, and enters the address.  Code on disk names the words, so they must be
there before it is loaded (:func:`prepare`).
"""

import ctypes
import hashlib
import importlib

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils

from freehint.jit.apart import compiled_address

WORD = ir.IntType(64)
WORDS = ir.ArrayType(WORD, 3)
ADDRESS, RESOLVER, NUMBER = range(3)  # the words


class NotCompiledError(RuntimeError):
    """A kernel that was to be compiled late could not be; Python raises the reason instead."""

    def __init__(self, *about):
        super().__init__(*about)
        # Who calls an entry itself (``Kernel.python_entry``) sees the reason as the cause.
        self.__cause__ = _failed[-1] if _failed else None


class Slot:
    """The words of one kernel for one signature; they stay where they are."""

    def __init__(self, kernel, signature: tuple, number: int):
        self.kernel, self.signature = kernel, signature
        self.words = (ctypes.c_int64 * 3)()
        self.words[RESOLVER] = ctypes.cast(_resolve, ctypes.c_void_p).value
        self.words[NUMBER] = number

    def fill(self) -> None:
        """Enter the kernel's address."""
        if not self.words[ADDRESS]:
            self.words[ADDRESS] = compiled_address(self.kernel, self.kernel.late, self.signature)


_slots: dict[str, Slot] = {}
_failed: list[BaseException] = []


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
def _resolve(number):
    """Called by a kernel that finds no address: 0 if it is there now."""
    try:
        tuple(_slots.values())[number].fill()
    except BaseException as error:  # an interrupt, too: no kernel can pass it on
        _failed.append(error)
        return 1
    return 0


def reason(error: NotCompiledError) -> BaseException:
    """Why it was raised."""
    return _failed.pop() if _failed else error


def slot_name(kernel, signature: tuple) -> str:
    """The name of a kernel's words, which are there now, in compiled code."""
    function = kernel.py_func
    digest = hashlib.sha256(repr(signature).encode()).hexdigest()[:16]
    name = f"late.{function.__module__}.{function.__qualname__}.{digest}"
    if name not in _slots:
        slot = _slots[name] = Slot(kernel, signature, len(_slots))
        llvmlite.binding.add_symbol(name, ctypes.addressof(slot.words))
    return name


def named_slots(libraries) -> list:
    """What :func:`prepare` needs: the kernels whose words some libraries name."""
    names = sorted({name for library in libraries for name in library.late})
    slots = map(_slots.__getitem__, names)
    return [
        (slot.kernel.py_func.__module__, slot.kernel.py_func.__qualname__, slot.signature)
        for slot in slots
    ]


def prepare(named: list) -> None:
    """Let the words be there that code from disk names."""
    for module, name, signature in named:
        slot_name(getattr(importlib.import_module(module), name), signature)


def compile_all() -> None:
    """Compile all whose words are there, and those that they call."""
    done = 0
    while done < len(_slots):
        tuple(_slots.values())[done].fill()
        done += 1


def build_address(lower, kernel, signature: tuple):
    """In a caller: the address; it returns NotCompiledError where there can be none."""
    builder = lower.builder
    name = slot_name(kernel, signature)
    lower.library.late.add(name)
    words = builder.module.globals.get(name)
    if words is None:
        words = cgutils.add_global_variable(builder.module, WORDS, name)
        words.linkage = "external"
    places = [cgutils.gep_inbounds(builder, words, 0, which) for which in range(3)]
    missing = builder.icmp_unsigned("==", builder.load(places[ADDRESS]), WORD(0))
    with cgutils.if_unlikely(builder, missing):
        kind = ir.FunctionType(WORD, [WORD]).as_pointer()
        resolve = builder.inttoptr(builder.load(places[RESOLVER]), kind)
        code = builder.call(resolve, [builder.load(places[NUMBER])])
        with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", code, WORD(0))):
            lower.return_exception(NotCompiledError, (name,), lower.loc)
    return builder.load(places[ADDRESS])
