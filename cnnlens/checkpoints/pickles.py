"""A pickle read as a description: what it would make is recorded; nothing is ever called or imported.

Python's own unpickler runs what the file names. This one walks the opcodes, which `pickletools` decodes, and
holds a note (`Made`) in place of every object. Mappings are held as pairs, for a hostile key may take for
ever to hash. The work and the memory are bounded by the number of opcodes.
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import IO, Any

from ..errors import CannotOpen, Refused
from .notes import Global, Kept, Made, Pairs, Pickle

_MOST_OPCODES = 500_000


def read_pickle(file: IO[bytes], what: str) -> Pickle:
    """Read one pickle from the file and stop behind it; CannotOpen where it is damaged or cut off."""
    machine = _Machine()
    count = 0
    try:
        for opcode, argument, _ in pickletools.genops(file):
            count += 1
            if count > _MOST_OPCODES:
                raise Refused(
                    f"{what} is a pickle of more than {_MOST_OPCODES:,} steps, which no weights need"
                )
            if opcode.name == "STOP":
                return Pickle(machine.pop(), tuple(dict.fromkeys(machine.names)), tuple(machine.kept))
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise CannotOpen(f"{what} is a pickle that is damaged or cut off: {str(error)[:200]}") from error
    raise CannotOpen(f"{what} is a pickle that is cut off")


class _Machine:
    """The stack machine of pickle, without its calls."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}
        self.names: list[Global] = []
        self.kept: list[Kept] = []

    def step(self, name: str, argument: Any) -> None:
        """Do one opcode."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"the opcode {name} is not read")

    def pop(self) -> Any:
        return self.stack.pop()

    def marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        taken, self.stack = self.stack, self.below.pop()
        return taken

    def push(self, value: Any) -> None:
        self.stack.append(
            value
        )  # looked up here: what computes `value` may have put another stack in its place

    def mark(self, _: Any = None) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_one(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def pop_mark(self, _: Any) -> None:
        self.marked()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoise(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def name(self, module: str, name: str) -> Global:
        """The global by its name in Python 3, as PyTorch's reader maps it too."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        found = Global(IMPORT_MAPPING.get(module, module), name)
        self.names.append(found)
        return found

    def find(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self.name(module, name))

    def find_on_stack(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name that is no text")
        self.stack.append(self.name(module, name))

    def find_extension(self, code: int) -> None:
        self.stack.append(self.name("copyreg", f"extension {code}"))

    def call(self, _: Any) -> None:
        args = self.pop()
        self.stack.append(Made(self.pop(), _as_tuple(args)))

    def create(self, _: Any) -> None:
        args = self.pop()
        self.stack.append(Made(self.pop(), _as_tuple(args), new=True))

    def call_with_names(self, _: Any) -> None:
        named, args = self.pop(), self.pop()
        self.stack.append(Made(self.pop(), (*_as_tuple(args), named), new=True))

    def call_marked(self, _: Any) -> None:
        function, *args = self.marked()
        self.stack.append(Made(function, tuple(args)))

    def call_named(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.push(Made(self.name(module, name), tuple(self.marked())))

    def build(self, _: Any) -> None:
        state = self.pop()
        if isinstance(self.stack[-1], Made) and self.stack[-1].state is None:
            self.stack[-1].state = state
        else:  # a second state, or a state for what would be no object: noted, so that the check sees it
            self.stack[-1] = Made("state", (self.stack[-1], state))

    def append(self, _: Any) -> None:
        self._extend([self.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.marked())

    def _extend(self, new: list[Any]) -> None:
        onto = self.stack[-1]
        if isinstance(onto, list):
            onto.extend(new)
        elif isinstance(onto, Made):
            onto.items.extend(new)
        else:
            raise ValueError("something is appended to what is no list")

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._update([key, value])

    def set_items(self, _: Any) -> None:
        self._update(self.marked())

    def _update(self, flat: list[Any]) -> None:
        onto = self.stack[-1]
        if not isinstance(onto, (Pairs, Made)) or len(flat) % 2:
            raise ValueError("an item is put into what is no mapping")
        onto.pairs.extend(zip(flat[::2], flat[1::2], strict=True))

    def keep(self, place: Any) -> None:
        self.kept.append(Kept(place))
        self.stack.append(self.kept[-1])

    def make_dict(self, _: Any) -> None:
        flat = self.marked()
        self.stack.append(Pairs())
        self._update(flat)

    def make_tuple(self, count: int) -> None:
        taken = self.stack[-count:]
        if len(taken) != count:
            raise ValueError("the stack is too short")
        self.stack[-count:] = [tuple(taken)]


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) and not isinstance(args, Global) else (args,)


_LITERALS = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 FLOAT BINFLOAT".split()
)
_FROZENSET = Global("builtins", "frozenset")
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": Pairs,
    "EMPTY_SET": lambda: Made(Global("builtins", "set")),
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, version: None, "FRAME": lambda machine, length: None,
    "MARK": _Machine.mark, "POP": _Machine.pop_one, "POP_MARK": _Machine.pop_mark, "DUP": _Machine.duplicate,
    "PUT": _Machine.put, "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.memoise,
    "GET": _Machine.get, "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.find, "STACK_GLOBAL": _Machine.find_on_stack,
    "EXT1": _Machine.find_extension, "EXT2": _Machine.find_extension, "EXT4": _Machine.find_extension,
    "REDUCE": _Machine.call, "NEWOBJ": _Machine.create, "NEWOBJ_EX": _Machine.call_with_names,
    "OBJ": _Machine.call_marked, "INST": _Machine.call_named, "BUILD": _Machine.build,
    "APPEND": _Machine.append, "APPENDS": _Machine.appends, "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item, "SETITEMS": _Machine.set_items, "DICT": _Machine.make_dict,
    "PERSID": _Machine.keep, "BINPERSID": lambda machine, _: machine.keep(machine.pop()),
    "LIST": lambda machine, _: machine.push(machine.marked()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "FROZENSET": lambda machine, _: machine.push(Made(_FROZENSET, tuple(machine.marked()))),
    "TUPLE1": lambda machine, _: machine.make_tuple(1), "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "BYTEARRAY8": lambda machine, value: machine.push(bytes(value)),
}  # fmt: skip
