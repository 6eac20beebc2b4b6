"""How a kernel becomes LLVM's input: as Numba writes it, without what LLVM would only delete.

Numba writes twenty instructions for ``a[i]`` and as many behind a call, copies each array to the
stack for that, and gives each variable a place there.  LLVM makes the same code of all this and of
what is written here, but the text alone took a third of a first simulation's time.
"""

from llvmlite import ir as llvm
from llvmlite.ir import instructions
from numba.core import cgutils, ir, types
from numba.core.analysis import compute_cfg_from_blocks, must_use_alloca
from numba.core.errors import LoweringError, UnsupportedError, new_error_context
from numba.core.lowering import Lower
from numba.core.unsafe import eh
from numba.np.arrayobj import load_item, store_item

from freehint.jit.counted import counted, is_end, lower_counted, variables_read
from freehint.jit.late import build_address
from freehint.jit.linking import from_the_front
from freehint.jit.pinned import PinnedTuple, load_member, member_data, member_length

_SCALAR = (types.Number, types.Boolean)
ALWAYS_RETURNS = "freehint_always_returns"  # in a function's metadata: does it raise nothing?


class Member:
    """An array in a pinned tuple, of which most uses want the address alone."""

    def __init__(self, lower, kind, words, name):
        self.lower, self.kind, self.words, self.name = lower, kind, words, name

    def whole(self):
        """The array as Numba passes it."""
        return load_member(self.lower.context, self.lower.builder, self.kind, self.words, self.name)

    def data(self):
        """Its address."""
        return member_data(self.lower.context, self.lower.builder, self.kind, self.words, self.name)

    def length(self, axis):
        """Its length along an axis."""
        return member_length(self.lower.builder, self.kind, self.words, self.name, axis)


class Whole:
    """An array that is a value."""

    def __init__(self, lower, value):
        self.builder, self.value = lower.builder, value

    def data(self):
        """Its address."""
        return self.builder.extract_value(self.value, 4)

    def length(self, axis):
        """Its length along an axis."""
        return self.builder.extract_value(self.value, (5, axis))


class KernelLower(Lower):
    """Numba's lowering of one function, with short ways for what kernels do most."""

    @property
    def counts(self) -> bool:
        """Does the function count references, as the entries for Python do?"""
        return self.context.enable_nrt

    # Variables.

    def _find_singly_assigned_variable(self):
        """Find the variables that need no place on the stack."""
        self.counted = set()
        super()._find_singly_assigned_variable() if self.counts else self._find_values()

    def _find_values(self) -> None:
        """Variables with one assignment, which comes before each use on every way there."""
        assigned, used, several = {}, {}, must_use_alloca(self.blocks)
        for offset, block in sorted(self.blocks.items()):
            for statement in block.body:
                for name in variables_read(statement):
                    used.setdefault(name, set()).add(offset)
                    if name not in assigned:
                        several.add(name)
                if isinstance(statement, ir.Assign):
                    name = statement.target.name
                    if name in assigned:
                        several.add(name)
                    assigned[name] = offset
        before = compute_cfg_from_blocks(self.blocks).dominators()
        self._blk_local_varmap = {}
        self._singly_assigned_vars = {
            name
            for name, offset in assigned.items()
            if name not in several and all(offset in before[one] for one in used.get(name, ()))
        }
        self.counted = counted(self, self._singly_assigned_vars)

    def loadvar(self, name):
        """A variable's value."""
        value = self._blk_local_varmap.get(name)
        if value is None:
            return super().loadvar(name)
        return value.whole() if isinstance(value, Member) else value

    def storevar(self, value, name, argidx=None):
        """Give a variable its value; without counted references its old one is not looked at."""
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
            return
        value = value.whole() if isinstance(value, Member) else value
        if self.counts:
            super().storevar(value, name, argidx)
        else:
            self.builder.store(value, self.getvar(name))

    def delvar(self, name):
        """A variable dies; nobody counts references to what is pinned."""
        if not isinstance(self._blk_local_varmap.get(name), Member):
            super().delvar(name)

    def _array(self, name):
        value = self._blk_local_varmap.get(name)
        return value if isinstance(value, Member) else Whole(self, self.loadvar(name))

    # Statements.

    def lower_block(self, block):
        """All statements of a block."""
        if self.counts:
            self.pre_block(block)
        try:
            for statement in block.body:
                self.loc = statement.loc
                self.lower_inst(statement)
        except Exception:
            # What Numba prepares for each statement, where it is wanted.
            with new_error_context(
                'lowering "{inst}" at {loc}',
                inst=statement,
                loc=self.loc,
                errcls_=lambda message: LoweringError(message, loc=self.loc),
            ):
                raise

    def lower_inst(self, inst):
        """One statement."""
        if isinstance(inst, ir.Assign):
            target = inst.target.name
            self.storevar(self.lower_assign(self.typeof(target), inst), target)
        elif isinstance(inst, ir.StaticSetItem) and self._is_array(inst.target):
            self.lower_setitem(inst.target, inst.index_var, inst.value, self.fndesc.calltypes[inst])
        else:
            super().lower_inst(inst)

    def debug_print(self, msg):
        """Nothing; Numba would write down each statement before it asks whether that is wanted."""

    def lower_assign(self, ty, inst):
        """The value of the right side."""
        value = inst.value
        if inst.target.name in self.counted:
            return lower_counted(self, ty, value, self._blk_local_varmap)
        if is_end(value, self.counted):
            return self._blk_local_varmap[value.value.name][value.op == "pair_second"]
        if isinstance(value, ir.Global):
            if value.value is eh.exception_check:
                raise UnsupportedError("kernels of freehint hold no try and no with", loc=self.loc)
            if isinstance(ty, types.Dispatcher):
                # A call knows its function by its type; Numba would keep the object's address.
                return self.context.get_dummy_value()
        if isinstance(value, ir.Expr) and value.op == "getattr":
            kind = self.typeof(value.value.name)
            if isinstance(kind, PinnedTuple) and value.attr in kind.fields:
                return self._member(kind, self.loadvar(value.value.name), value.attr)
        return super().lower_assign(ty, inst)

    def _member(self, kind, words, name):
        if isinstance(kind.types[kind.fields.index(name)], types.Array):
            return Member(self, kind, words, name)
        return load_member(self.context, self.builder, kind, words, name)

    # Elements of arrays.

    def _place(self, array, kind, index, given):
        """The address of an element and nothing else, or None if Numba has to find it."""
        axes = given.types if isinstance(given, types.BaseTuple) else (given,)
        plain = isinstance(kind, types.Array) and kind.layout == "C" and kind.ndim == len(axes)
        if not plain or self.context.enable_boundscheck:
            return None
        if not all(isinstance(one, types.Integer) for one in axes):
            return None
        if isinstance(given, types.BaseTuple):
            indices = cgutils.unpack_tuple(self.builder, index, len(axes))
        else:
            indices = [index]
        array = self._array(array)
        flat = None
        for axis, (one, axis_index) in enumerate(zip(axes, indices)):
            number = from_the_front(self.context, self.builder, one, axis_index)
            if flat is None:
                flat = number
            else:
                flat = self.builder.add(self.builder.mul(flat, array.length(axis)), number)
        return self.builder.gep(array.data(), [flat])

    def _is_array(self, variable) -> bool:
        return isinstance(self.typeof(variable.name), types.Array)

    def lower_expr(self, resty, expr):
        """An expression; Numba looks for constant indices of arrays, which it does not have."""
        if expr.op == "static_getitem" and expr.index_var and self._is_array(expr.value):
            signature = self.fndesc.calltypes[expr]
            return self.lower_getitem(resty, expr, expr.value, expr.index_var, signature)
        return super().lower_expr(resty, expr)

    def lower_getitem(self, resty, expr, value, index, signature):
        """``array[index]``."""
        kind = self.typeof(value.name)
        if isinstance(kind, types.Array):
            place = self._place(value.name, kind, self.loadvar(index.name), self.typeof(index.name))
            if place is not None:
                item = load_item(self.context, self.builder, kind, place)
                return self.context.cast(self.builder, item, kind.dtype, resty)
        return super().lower_getitem(resty, expr, value, index, signature)

    def lower_setitem(self, target_var, index_var, value_var, signature):
        """``array[index] = value``."""
        kind, given = self.typeof(target_var.name), self.typeof(value_var.name)
        if isinstance(kind, types.Array) and isinstance(given, _SCALAR):
            place = self._place(
                target_var.name, kind, self.loadvar(index_var.name), self.typeof(index_var.name)
            )
            if place is not None and isinstance(kind.dtype, _SCALAR):
                value = self.loadvar(value_var.name)
                value = self.context.cast(self.builder, value, given, kind.dtype)
                return store_item(self.context, self.builder, kind, value, place)
        return super().lower_setitem(target_var, index_var, value_var, signature)

    # Calls.

    def post_lower(self):
        """Note whether the function can raise anything."""
        super().post_lower()
        ends = (block.terminator for block in self.function.blocks)
        codes = [end.operands[0] for end in ends if isinstance(end, instructions.Ret)]
        self.metadata[ALWAYS_RETURNS] = all(
            isinstance(code, llvm.Constant) and code.constant == 0 for code in codes
        )

    def lower_binop(self, resty, expr, op):
        """An operator; Numba would first try three times whether a constant makes it another."""
        signature = self.fndesc.calltypes[expr]
        if not all(isinstance(kind, (types.Integer, types.Boolean)) for kind in signature.args):
            return super().lower_binop(resty, expr, op)
        expr.static_lhs = expr.static_rhs = ir.UNDEFINED
        return super().lower_binop(resty, expr, op)

    def _lower_call_normal(self, fnty, expr, signature):
        kernel = getattr(fnty, "dispatcher", None)
        ours = hasattr(kernel, "compiled") and not isinstance(signature.return_type, types.Optional)
        if not ours:
            on_data = self._on_data(fnty, signature)
            if on_data is None:
                return super()._lower_call_normal(fnty, expr, signature)
            array, *rest = expr.args
            rest = map(self._cast_var, rest, signature.args[1:])
            return on_data(self.builder, self._array(array.name).data(), *rest)
        arguments = self.fold_call_args(fnty, signature, expr.args, expr.vararg, expr.kws)
        if kernel.is_late(signature.args):
            kind = self.call_conv.get_function_type(signature.return_type, signature.args)
            address = build_address(self, kernel, signature.args)
            function = self.builder.inttoptr(address, kind.as_pointer())
            return self._call(function, signature, arguments, returns=False)
        callee = kernel.compiled(signature.args)
        self.library.add_linking_library(callee.library)
        function = self.context.declare_function(self.builder.module, callee.fndesc)
        return self._call(function, signature, arguments, callee.metadata.get(ALWAYS_RETURNS))

    @staticmethod
    def _on_data(kind, signature):
        """What writes a call that wants an array's address alone (freehint.jit.flat), or None."""
        if not isinstance(kind, types.Function) or types.Array not in map(type, signature.args[:1]):
            return None
        return getattr(kind.get_impl_key(signature), "on_data", None)

    def _call(self, function, signature, arguments, returns):
        """Call a kernel; what it raises, unless it always returns, it tells this one's caller."""
        builder, convention, returned = self.builder, self.call_conv, signature.return_type
        with builder.goto_entry_block():
            result = builder.alloca(convention.get_return_type(returned).pointee)
        given = self.context.get_arg_packer(signature.args).as_arguments(builder, arguments)
        raised = convention._get_excinfo_argument(builder.function)
        code = builder.call(function, [result, raised, *given])
        if not returns:
            failed = builder.icmp_signed("!=", code, llvm.Constant(code.type, 0))
            with cgutils.if_unlikely(builder, failed):
                builder.ret(code)
        return self.context.get_returned_value(builder, returned, builder.load(result))
