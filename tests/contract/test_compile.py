"""Every loss compiles to one graph, forwards and backwards, and gives the same numbers."""

from shutil import which

import pytest
import torch
import torch._dynamo.testing

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
        # what nearly cancels is rounded otherwise by the kernels, which small steps under a compiler go without
        torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-12, atol=1e-16)


# what the default backend makes of them: machine code, for which it needs a compiler

ONE_OF_EACH_KIND = [
    "Lorenz(lift='top_rival')",
    "Focal()",
    "NegativeLearning()",
    "BiTempered()",
    "Dice(over='batch')",
    "LovaszSoftmax()",
    "AdaptiveLog(Tversky())",
    "CrossEntropy() + 0.5 * Dice()",
    "SupervisedContrastive()",
    "MultiSimilarity()",
    "ArcFace()",
    "Logistic(lift='ranking')",
]


@pytest.mark.skipif(not any(map(which, ("cc", "gcc", "g++", "clang"))), reason="inductor needs a C compiler")
@pytest.mark.parametrize("text", ONE_OF_EACH_KIND)
def test_compiled_to_machine_code_it_gives_the_same_numbers(text: str):
    torch._dynamo.reset()
    loss = parse(text)
    problem = problems(loss, shapes=((2, 3, 6, 5),))[0]
    compiled = torch.compile(lambda x, y, w: loss(x, y, w), fullgraph=True)
    weight = torch.linspace(0.5, 2, 60).reshape(2, 6, 5)
    plain, fast = (problem.logits.float().requires_grad_() for _ in range(2))
    expected, found = loss(plain, problem.target, weight), compiled(fast, problem.target, weight)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    expected.backward()
    found.backward()
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("text", ONE_OF_EACH_KIND)
def test_one_graph_serves_batches_of_every_size(text: str):
    """The last batch of an epoch is smaller, and must not cost a compilation of its own."""
    torch._dynamo.reset()
    loss, graphs = parse(text), torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(lambda x, y: loss(x, y), fullgraph=True, dynamic=True, backend=graphs)
    for images in (4, 3, 7):
        problem = problems(loss, shapes=((images, 3, 6, 5),))[0]
        torch.testing.assert_close(compiled(problem.logits, problem.target), loss(problem.logits, problem.target))
    assert graphs.frame_count == 1
