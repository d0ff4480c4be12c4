"""What a stress did to labels, as a record keeps it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def touched(before: Tensor, after: Tensor, ids: Sequence[str]) -> dict[str, Any]:
    """Plain JSON. Cases: `{"flipped": [[id, from, to], ...]}`; masks: `{"voxels": {id: how many changed}}`.

    before, after: (N,) or (N, *S), the labels of the cases `ids`. Only what changed is told.
    """
    if before.shape != after.shape or len(before) != len(ids):
        raise ValueError(f"labels {tuple(before.shape)} and {tuple(after.shape)} of {len(ids)} cases do not fit")
    changed = before != after
    if before.ndim == 1:
        places = changed.nonzero().flatten().tolist()
        return {"flipped": [[ids[at], before[at].item(), after[at].item()] for at in places]}
    counts = changed.flatten(1).sum(1).tolist()
    return {"voxels": {one: count for one, count in zip(ids, counts, strict=True) if count}}
