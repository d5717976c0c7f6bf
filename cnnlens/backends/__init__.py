"""A native model → a `Model`. Which framework an object belongs to is found without importing any."""

from __future__ import annotations

import sys
from typing import Any

from ..errors import UsageError
from ..model import Model


def adapt(native: Any, **facts: Any) -> Model:
    """The `Model` of a PyTorch module or a Keras 3 model; UsageError for anything else.

    A model cannot exist unless its framework is loaded, so only loaded ones are asked.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "Model") and isinstance(native, keras.Model):
        from .keras import KerasModel

        return KerasModel(native, **facts)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(native, torch.nn.Module):
        from .torch import TorchModel

        return TorchModel(native, **facts)
    kind = f"{type(native).__module__}.{type(native).__qualname__}"
    if kind.startswith("tf_keras."):
        raise UsageError(
            "this is a Keras 2 model (tf_keras); save it and open the file, or build it with keras 3"
        )
    if isinstance(native, dict):
        raise UsageError(
            "this is a dict of weights, not a model: build its architecture and load them into it"
        )
    raise UsageError(f"a model is a torch.nn.Module or a keras.Model, got {kind}")
