"""The weights of a torch.export program, as the list beside them describes them."""

from __future__ import annotations

from typing import Any

from .archives import Archive
from .inspection import TensorFact
from .keras_config import parse_config
from .limits import MOST_TEXT
from .storages import ITEM_SIZES
from .words import shown


def exported_tensors(archive: Archive) -> tuple[TensorFact, ...]:
    """Names and shapes from `model_weights_config.json`; none in the older layout, which pickles them."""
    name = next((n for n in archive.entries if n.endswith("weights_config.json")), None)
    told = parse_config(archive.read(name, MOST_TEXT), archive.path.name) if name else None
    config = told.get("config") if isinstance(told, dict) else None
    if not isinstance(config, dict):
        return ()
    return tuple(fact for key, one in config.items() if (fact := _fact(key, one)) is not None)


def _fact(name: str, one: Any) -> TensorFact | None:
    try:
        meta = one["tensor_meta"]
        shape = tuple(int(side["as_int"]) for side in meta["sizes"])
        dtype = _DTYPES.get(meta["dtype"], "unknown")
    except (KeyError, TypeError, ValueError):
        return None  # another version of the list: its tensors are not told rather than told wrongly
    count = 1
    for side in shape:
        count *= side
    return TensorFact(shown(name), shape, dtype, count * ITEM_SIZES.get(dtype, 1))


#: torch.export's own numbers for dtypes (its schema's ScalarType).
_DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    12: "bool", 13: "bfloat16",
}  # fmt: skip
