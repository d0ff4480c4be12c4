"""Read-out: from embeddings to scores, by a logistic regression on those of the training cases."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from whichloss.core import Loss, Task

Read = Callable[[Tensor], Tensor]  # from outputs of the network to a score for each class, on the CPU


def readout(loss: Loss, task: Task, outputs: Callable[[], Tensor], labels: Tensor) -> Read:
    """What turns outputs into scores. outputs() gives those of the cases fitted to, and is called only if needed.

    A loss of answers has them already. An embedding is frozen, brought to length 1 as the loss sees it, and a logistic
    regression (scikit-learn's, C = 1) is fitted on it with the training labels, so that every loss ends in a linear
    answer to the same question.
    """
    if loss.answers:
        return _difference if task.binary and loss.outputs(task) == 2 else loss.class_scores
    from sklearn.linear_model import LogisticRegression

    normalize = _normalizes(loss)

    def seen(embeddings: Tensor) -> np.ndarray:
        numbers = embeddings.double().cpu().numpy()
        return numbers / np.linalg.norm(numbers, axis=1, keepdims=True).clip(1e-12) if normalize else numbers

    model = LogisticRegression(max_iter=1000).fit(seen(outputs()), labels.cpu().numpy())
    known = model.classes_.tolist()  # a small training part may lack a class

    def read(embeddings: Tensor) -> Tensor:
        scores = torch.from_numpy(model.decision_function(seen(embeddings))).float().reshape(len(embeddings), -1)
        if task.binary:
            return scores
        scores = torch.cat([-scores, scores], 1) if len(known) == 2 else scores
        every = scores.new_full((len(scores), len(task.classes)), float(scores.min()) - 1 if scores.numel() else 0.0)
        every[:, known] = scores
        return every

    return read


def with_gradient(read: Read, loss: Loss) -> Read:
    """The same in torch, on any device: what is read from embeddings is linear in what the loss sees of them."""
    if loss.answers:
        return read

    def smooth(embeddings: Tensor) -> Tensor:
        seen = torch.nn.functional.normalize(embeddings) if _normalizes(loss) else embeddings
        width = embeddings.shape[1]
        scores = read(torch.cat([torch.zeros(1, width), torch.eye(width)])).to(embeddings)
        return scores[:1] + seen @ (scores[1:] - scores[:1])

    return smooth


def _normalizes(loss: Loss) -> bool:
    return all(getattr(leaf, "normalize", True) for leaf in loss.leaves())


def _difference(outputs: Tensor) -> Tensor:
    """One score for a yes/no question from two outputs: u_yes - u_no, (N, 1, *S)."""
    return outputs[:, 1:2] - outputs[:, 0:1]
