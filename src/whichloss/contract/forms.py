"""Promises about the form of a question: the same question in another form has the same answer."""

import torch
from torch import Tensor

from whichloss.core import Loss, plain

from .problems import Problem, one_hot, problems
from .promise import close, differentiate, hold, promise, refused, trains
from .space import names_axes


@promise
def takes_an_index_for_its_one_hot(loss: Loss) -> None:
    me = takes_an_index_for_its_one_hot
    for problem in problems(loss):
        if problem.form == "classes by index":
            as_index = differentiate(problem)
            hot = one_hot(problem.target, problem.logits.shape[1])
            for target in (hot, hot.double()):
                twin = Problem("one-hot", loss.asking("exclusive"), problem.logits, target)
                same = differentiate(twin)
                hold(close(as_index[0], same[0]) and close(as_index[1], same[1]), me, problem)


@promise
def refuses_a_target_that_could_mean_two_things(loss: Loss) -> None:
    me = refuses_a_target_that_could_mean_two_things
    if "regression" in loss.tasks or any(getattr(leaf, "classes", None) != "auto" for leaf in loss.leaves()):
        return
    for shape in ((4, 3), (2, 3, 5, 4)):
        logits = torch.zeros(shape)
        for target, word in ((torch.zeros(shape), "the logits' shape"), (logits[:, 0], "float indices")):
            hold(refused(loss, logits, target), me, f"took a target of {word} for logits {shape}")
        hold(refused(loss, logits[:, :1], logits[:, 0].long()), me, "took an index target for one channel")


@promise
def does_not_care_about_the_order_of_elements(loss: Loss) -> None:
    me = does_not_care_about_the_order_of_elements
    if loss.spatial:
        return  # where elements lie is what it looks at: see space.py
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        order = torch.randperm(30, generator=torch.Generator().manual_seed(2))

        def shuffle(x: Tensor, order: Tensor = order) -> Tensor:
            return x.flatten(-2)[..., order].reshape(x.shape)

        moved = Problem(problem.form, problem.loss, shuffle(problem.logits), shuffle(problem.target))
        hold(close(differentiate(problem)[0], differentiate(moved)[0]), me, f"voxels of {problem}")
        hold(close(shuffle(differentiate(problem)[1]), differentiate(moved)[1]), me, f"gradients of {problem}")


@promise
def takes_a_slice_for_a_volume_of_one_slice(loss: Loss) -> None:
    if names_axes(loss):
        return  # a slice has other axes than a volume
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        volume = Problem(problem.form, problem.loss, problem.logits[..., None], problem.target[..., None])
        same = close(differentiate(problem)[0], differentiate(volume)[0])
        hold(same, takes_a_slice_for_a_volume_of_one_slice, problem)


@promise
def leaves_its_inputs_alone(loss: Loss) -> None:
    for problem in problems(loss):
        logits, target, weight = problem.logits.clone(), problem.target.clone(), torch.ones_like(problem.logits[:, 0])
        leaf = problem.leaf() if trains(loss) else problem.logits
        value = problem.loss(leaf, problem.target, weight)
        if value.requires_grad:
            value.backward()
        same = bool((leaf == logits).all() and (problem.target == target).all() and (weight == 1).all())
        hold(same, leaves_its_inputs_alone, problem)


@promise
def is_the_same_through_a_fused_kernel(loss: Loss) -> None:
    for problem in problems(loss):
        with plain():
            expected = differentiate(problem)
        found = differentiate(problem)
        same = close(found[0], expected[0]) and close(found[1], expected[1])
        hold(same, is_the_same_through_a_fused_kernel, problem)
