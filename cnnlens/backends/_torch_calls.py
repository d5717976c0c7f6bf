"""Follow a PyTorch forward pass call by call: modules by hooks, functions by a TorchFunctionMode.

A module's call is named by its dotted path, a function's by the module it stands in and its own name
(`layer1.0.add`); the second call of either is `name#2`. Whoever follows may put another output in the
place of a call's own. Nothing stays on the model afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ._torch_hooks import Hooks, unseen

#: Functions that are layers when called between modules: their name and what they are.
FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d"), "convolution"),
    "linear": "dense",
    **dict.fromkeys(
        ("max_pool2d", "avg_pool2d", "lp_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean",
         "amax"),
        "pooling",
    ),
    **dict.fromkeys(
        ("batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "normalize"),
        "normalisation",
    ),
    **dict.fromkeys(
        ("relu", "relu6", "hardtanh", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish",
         "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softmax", "log_softmax", "logsigmoid",
         "clamp"),
        "activation",
    ),
    **dict.fromkeys(("add", "sub"), "add"),
    **dict.fromkeys(("mul", "div"), "multiply"),
    **dict.fromkeys(("cat", "concat", "stack"), "concat"),
    **dict.fromkeys(("flatten",), "reshape"),
    **dict.fromkeys(("interpolate", "pixel_shuffle", "grid_sample"), "resize"),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), "attention"),
}  # fmt: skip
_ALIASES = {"__add__": "add", "__iadd__": "add", "__radd__": "add", "__mul__": "mul", "__rmul__": "mul",
            "__imul__": "mul", "__sub__": "sub", "__truediv__": "div"}  # fmt: skip


HandedOn = Literal["new", "written", "same"]
Versions = dict[int, int]  # id of a tensor → how often it had been written to


@dataclass(frozen=True)
class Call:
    """One call within a pass. `base` is the name without `#2`; `module` is None for a function.

    `handed_on` says what the output is: a "new" array, an input "written" in place, or an input handed on the
    "same", as dropout does in eval mode: others may go on reading that one.
    """

    name: str
    base: str
    kind: str
    module: nn.Module | None
    inputs: tuple[Any, ...]
    output: Any
    handed_on: HandedOn


#: Sees a call, may answer with another output.
Visit = Callable[[Call], Tensor | None]


def is_block(module: nn.Module) -> bool:
    """Whether a module only holds others. A convolution that holds its padding is still a convolution."""
    return next(module.children(), None) is not None and not any(map(_is_torch_leaf, type(module).__mro__))


def _is_torch_leaf(kind: type) -> bool:
    """Whether torch itself defines this class as a layer, not as something that holds layers."""
    room, _, file = kind.__module__.rpartition(".")
    return room == "torch.nn.modules" and file not in ("module", "container", "transformer")


def function_name(function: Any) -> str | None:
    """The plain name of a function that counts as a layer (`relu` for `Tensor.relu_`), else None."""
    name = getattr(function, "__name__", "")
    name = _ALIASES.get(name, name.rstrip("_"))
    return name if name in FUNCTIONS else None


class Follower:
    """Follows passes of one module. `paths` names each module by its first dotted path."""

    def __init__(self, root: nn.Module) -> None:
        self.root = root
        self.paths: dict[nn.Module, str] = {module: name for name, module in root.named_modules()}
        self.modules: dict[str, nn.Module] = {name: module for module, name in self.paths.items() if name}

    @contextmanager
    def following(
        self,
        visit: Visit,
        only: Collection[str] | None = None,
        enter: Callable[[str], None] | None = None,
        observe: Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], None] | None = None,
    ) -> Iterator[None]:
        """Call `visit` for each call of a pass, or for those named in `only`.

        `enter(name)` is told when a block begins, `observe` sees every function, layer or not.
        """
        counts: Counter[str] = Counter()
        stack: list[nn.Module] = [self.root]
        bases = None if only is None else {name.partition("#")[0] for name in only}
        functions = bases is None or not bases <= self.modules.keys()
        with ExitStack() as undo:
            hooks = Hooks()
            undo.callback(hooks.remove)
            entered: list[Versions] = []

            def reached(
                base: str,
                kind: str,
                module: nn.Module | None,
                inputs: tuple[Any, ...],
                out: Any,
                before: Versions,
            ) -> Any:
                counts[base] += 1
                name = base if counts[base] == 1 else f"{base}#{counts[base]}"
                if only is not None and name not in only:
                    return out
                call = Call(name, base, kind, module, inputs, out, _handed_on(out, before))
                new = visit(call)
                return out if new is None else graft(new, call)

            def before(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
                stack.append(module)
                entered.append(unseen(_versions, (*args, *kwargs.values())))

            def after(module: nn.Module, args: Any, kwargs: Mapping[str, Any], out: Any) -> Any:
                stack.pop()
                inputs = (*args, *kwargs.values())
                return unseen(reached, self.paths[module], "module", module, inputs, out, entered.pop())

            for base, module in self.modules.items():
                if enter is not None and is_block(module):
                    hooks.handles.append(module.register_forward_pre_hook(_beginner(enter, base)))
                if bases is None or base in bases:
                    hooks.hang(module, before, after)
                elif functions:
                    hooks.hang(module, lambda m, *_: stack.append(m), lambda *_: _left(stack))
            if functions:
                undo.enter_context(_Functions(self, stack, reached, observe))
            yield

    def function_base(self, owner: nn.Module, name: str) -> str:
        """The layer name of a function called directly in `owner`."""
        path = self.paths.get(owner, "")
        base = f"{path}.{name}" if path else name
        return base if base not in self.modules else f"{base}.function"


def graft(new: Tensor, call: Call) -> Tensor:
    """`new` in the place of a call's output; where the call wrote in place, in its very memory.

    After `x.relu_()` the caller goes on with `x`, whatever we return.
    """
    if call.handed_on != "written":
        return new
    out: Tensor = call.output
    # its own history would be walked back through memory that is no longer its (a view has to keep it)
    return (out if out._is_view() else out.detach_()).copy_(new)


def _versions(inputs: tuple[Any, ...]) -> Versions:
    return {id(t): t._version for t in inputs if isinstance(t, Tensor) and not t.is_inference()}


def _handed_on(out: Any, before: Versions) -> HandedOn:
    if not isinstance(out, Tensor) or id(out) not in before:
        return "new"
    return "same" if out._version == before[id(out)] else "written"


def _beginner(enter: Callable[[str], None], base: str) -> Callable[[nn.Module, Any], None]:
    return lambda _module, _args: enter(base)


def _left(stack: list[nn.Module]) -> None:
    stack.pop()


class _Functions(TorchFunctionMode):
    """Sees every function of torch that is called from Python; those called by leaves are the leaf's own."""

    def __init__(self, follower: Follower, stack: list[nn.Module], reached: Any, observe: Any) -> None:
        super().__init__()
        self._follower, self._stack, self._reached, self._observe = follower, stack, reached, observe
        self._holds_layers: dict[nn.Module, bool] = {follower.root: True}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function_name(func) if self._among_layers() else None
        if name is None:
            out = func(*args, **kwargs)
            if self._observe is not None:
                self._observe(func, args, kwargs, out)
            return out
        owner, inputs = self._stack[-1], (*args, *kwargs.values())
        before = _versions(inputs)
        out = func(*args, **kwargs)
        if self._observe is not None:
            self._observe(func, args, kwargs, out)
        if not _is_layer_output(out):
            return out
        base = self._follower.function_base(owner, name)
        return self._reached(base, FUNCTIONS[name], None, inputs, out, before)

    def _among_layers(self) -> bool:
        """Whether a function called now stands between layers and is none of a layer's own."""
        owner = self._stack[-1]
        found = self._holds_layers.get(owner)
        if found is None:
            found = self._holds_layers[owner] = is_block(owner)
        return found


def _is_layer_output(out: Any) -> bool:
    return isinstance(out, torch.Tensor) and out.is_floating_point() and out.ndim >= 2
