"""Somebody else's network: a function or a class that makes an `nn.Module`."""

from inspect import signature
from typing import Any, get_args

from torch import nn

from whichloss.core import Task, UserError
from whichloss.core.foreign import Named
from whichloss.core.task import Kind
from whichloss.networks.network import Network, NetworkCard


class Factory(Named, Network):
    """`package.module:make` or `package.module:make(depth=3)`, called to make an `nn.Module`.

    Of `in_channels`, `outputs` and `task` it is given those that its signature names and the text does not.
    """

    listed = False
    __eq__ = Named.same
    __hash__ = Named.hashed
    card = NetworkCard(title="Your own", meaning="A network brought by the user.", source="", tasks=get_args(Kind))

    @classmethod
    def examples(cls) -> list[Any]:
        return []

    def build(self, task: Task, outputs: int) -> nn.Module:
        make = self.target()
        if isinstance(make, nn.Module):
            raise UserError(
                f"{self.path} is a module made already; name a function that makes a fresh one for each run"
            )
        offered = {"in_channels": task.channels, "outputs": outputs, "task": task}
        try:
            takes = signature(make)
            positional = [value for name, value in self.arguments if name is None]
            named = {name: value for name, value in self.arguments if name is not None}
            given = takes.bind_partial(*positional, **named).arguments
            more = {name: value for name, value in offered.items() if name in takes.parameters and name not in given}
            takes.bind(*positional, **named, **more)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.label} cannot be called: {error}.\n  it is given in_channels, outputs and task where its"
                f" signature names them; all else stands in the text, as in {self.path}(depth=3)"
            ) from error
        try:
            made = self.call(make, **more)
        except Exception as error:  # whatever somebody else's code raises
            raise UserError(f"{self.label} failed: {type(error).__name__}: {error}") from error
        if not isinstance(made, nn.Module):
            raise UserError(f"{self.label} must give an nn.Module, not {type(made).__name__}")
        return made


Network.foreign = Factory
