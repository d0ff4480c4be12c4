"""Ahead: what a loss wants to know of the truth alone, such as distances, worked out once and not in every step."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from whichloss.core import Loss, Task
from whichloss.core.lift import Lift
from whichloss.core.question import Batch
from whichloss.core.rows import Rows
from whichloss.data.maps import scratch

from .augment.sampling import Motion, mirror, mirrored
from .patches import cut


class Ahead:
    """For each lift of `loss.ahead`, a map (N, C, *S) of whole cases; for most losses none.

    It needs the memory of images with as many channels as the task has outputs. Where masks lie in files, so do maps.
    """

    def __init__(self, loss: Loss, task: Task, labels: Tensor) -> None:
        """labels: the masks (N, *S) that are trained on, -1 where nothing has a say; or Rows of them."""
        self.lifts, self.task = loss.ahead, task
        self.outputs = loss.outputs(task) if self.lifts else 0
        room = scratch if isinstance(labels, Rows) else torch.empty
        shape = (len(labels), self.outputs, *labels.shape[1:])
        self.maps: dict[Lift, Tensor] = {lift: room(shape) for lift in self.lifts}
        for at, mask in enumerate(labels if self.lifts else ()):
            for lift, made in self.of(mask.unsqueeze(0)).items():
                self.maps[lift][at] = made[0]
        for lift, made in self.maps.items():
            every = Rows(made, range(len(made)), labels.device) if isinstance(labels, Rows) else made.to(labels.device)
            self.maps[lift] = cast(Tensor, every)

    def of(self, masks: Tensor) -> dict[Lift, Tensor]:
        """What the lifts make of masks (N, *S)."""
        logits = torch.zeros((), device=masks.device).expand(len(masks), self.outputs, *masks.shape[1:])
        batch = Batch(logits, self.task.target(masks, logits), (masks >= 0).float())
        return {lift: lift(batch) for lift in self.lifts}

    def __getitem__(self, batch: Tensor) -> "Beside":
        return Beside(self, {lift: made[batch] for lift, made in self.maps.items()})


class Beside:
    """The maps of a batch, which go where its masks go.

    Cutting and mirroring are exact. What else moves a mask changes distances in ways that no map can follow, and so
    does the background around an image smaller than a patch: then the maps of those images are worked out anew.
    """

    def __init__(self, ahead: Ahead, known: dict[Lift, Tensor]) -> None:
        self.ahead, self.known = ahead, known

    @property
    def told(self) -> dict[str, Any]:
        """What the loss is called with besides; nothing where there is nothing, so that no other loss need take it."""
        return {"known": self.known} if self.known else {}

    def cut(self, boxes: Sequence[Sequence[slice]], space: Sequence[int], masks: Tensor) -> None:
        """To a box of each image, which was *space; masks: what came of it."""
        if self.known and any(side > whole for side, whole in zip(masks.shape[1:], space, strict=True)):
            self.known = self.ahead.of(masks)
            return
        for lift, maps in self.known.items():
            self.known[lift] = torch.stack([cut(*one) for one in zip(maps, boxes, strict=True)]).to(masks.device)

    def move(self, motions: Sequence[Motion], masks: Tensor) -> None:
        """By all these motions; masks: what came of it."""
        if not self.known:
            return
        followed = mirrored(motions)
        exact = followed.nonzero().flatten()
        kept, anew = exact.to(masks.device), (~followed).nonzero().flatten().to(masks.device)
        made = self.ahead.of(masks[anew]) if len(anew) else {}
        for lift, maps in self.known.items():
            self.known[lift] = moved = torch.empty_like(maps)
            if len(kept):
                moved[kept] = mirror(maps[kept], [motion.rows(exact) for motion in motions])
            if len(anew):
                moved[anew] = made[lift]
