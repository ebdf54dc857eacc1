"""A torch module whose configuration is the fields of a dataclass."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


class ConfiguredModule(nn.Module):
    """Base of dataclasses that are modules too, so their parameters and buffers are the model's.

    Decorate subclasses with @dataclass(eq=False, repr=False).
    """

    def __new__(cls: type[Module], *args: Any, **kwargs: Any) -> Module:
        module = object.__new__(cls)
        nn.Module.__init__(module)  # before the dataclass assigns its fields
        return module
