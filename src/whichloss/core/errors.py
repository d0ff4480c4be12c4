"""Errors that are the caller's to mend: one clear message each, no traceback on the command line."""

from collections.abc import Iterable

from torch import Tensor


class UserError(ValueError):
    """Something the caller can put right; the message says how."""


class FieldError(UserError):
    """A field of a value got something it cannot hold."""


class ExpressionError(UserError):
    """A text is not the expression of any value."""


class ShapeError(UserError):
    """Output, target and weight do not fit together, or fit in more than one way."""

    def __init__(self, output: Tensor, target: Tensor, why: str = "do not fit") -> None:
        hint = ""
        if output.ndim == 1 and target.shape == output.shape:
            hint = "\n  hint: for one binary score use logits.unsqueeze(1) and target.unsqueeze(1)"
        elif target.shape == (*output.shape[:1], 1, *output.shape[2:]) and output.ndim > 1 and output.shape[1] > 1:
            hint = "\n  hint: an index target has no class axis; use target.squeeze(1).long()"
        elif output.ndim > 1 and output.shape[1] == 1 and target.shape == output.shape[:1] + output.shape[2:]:
            hint = "\n  hint: for a yes/no question use target.unsqueeze(1)"
        super().__init__(
            f"logits {tuple(output.shape)} and target {tuple(target.shape)} of {target.dtype} {why}.\n"
            "  one class of several:   logits (N, C, *S) with C > 1, target (N, *S) of integer indices"
            ' or (N, C, *S) with classes="exclusive"\n'
            "  a yes/no per channel:   logits (N, C, *S), target (N, C, *S)"
            ' with classes="independent" (C = 1 needs no word)' + hint
        )


def in_words(names: Iterable[str]) -> str:
    """'a, b and c'."""
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last
