"""Every loss compiles to one graph, forwards and backwards, and gives the same numbers."""

import pytest
import torch

from whichloss import parse, registry
from whichloss.contract import problems
from whichloss.core import Loss

OURS = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.")]
LOSSES = [
    *(example for cls in OURS for example in cls.examples()[:1]),
    *(
        parse(text)
        for text in (
            "CrossEntropy() + 0.5 * Dice()",
            "AdaptiveLog(Dice() + CrossEntropy())",
            "Hinge(lift='one_versus_one')",
            "Lorenz(lift='top_rival')",
            "SquaredHinge(scores='softmax', targets='zero_one')",
            "Dice(over='batch', empty='skip', background=False, class_weight=(1, 2, 3))",
        )
    ),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.label)
def test_one_graph(loss: Loss):
    torch._dynamo.reset()
    problem = problems(loss, shapes=((2, 3, 6, 5),))[0]
    loss, learns = problem.loss, all(leaf.trains for leaf in problem.loss.leaves())
    compiled = torch.compile(lambda x, y, w: loss(x, y, w), fullgraph=True, backend="eager")
    weight = torch.linspace(0.5, 2, 60, dtype=torch.float64).reshape(2, 6, 5)
    plain, fast = (problem.logits.clone().requires_grad_(learns) for _ in range(2))
    expected, found = loss(plain, problem.target, weight), compiled(fast, problem.target, weight)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    if learns:
        expected.backward()
        found.backward()
        torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-12, atol=0)
