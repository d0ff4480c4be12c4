"""Pack: nested plain values and tensors as JSON and named tensors, and back without a bit lost. No pickle."""

from typing import Any

from torch import Tensor


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON in which a tensor is a name; the tensors are added to `tensors`. Raises TypeError for anything else.

    JSON knows lists and keys of text; what is a tuple, a mapping or a tensor is therefore marked by a key of one word.
    A float is written with as many digits as make it the same again.

    >>> pack({1: (0.1, None)}, {})
    {'mapping': [[1, {'tuple': [0.1, None]}]]}
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [pack(one, tensors) for one in value]
    if type(value) is tuple:
        return {"tuple": [pack(one, tensors) for one in value]}
    if isinstance(value, dict):
        return {"mapping": [[pack(key, tensors), pack(one, tensors)] for key, one in value.items()]}
    raise TypeError(f"a {type(value).__name__} can be kept neither as JSON nor as a tensor")


def unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """The way back; a mapping comes back as a dict."""
    if isinstance(packed, list):
        return [unpack(one, tensors) for one in packed]
    if not isinstance(packed, dict):
        return packed
    [(kind, content)] = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unpack(one, tensors) for one in content)
    return {unpack(key, tensors): unpack(one, tensors) for key, one in content}
