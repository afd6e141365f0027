"""DeepFM: a factorization machine, and a small network on the same vectors.

Guo, Tang, Ye, Li, He. DeepFM: a factorization-machine based neural network for CTR prediction. IJCAI 2017.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from models.family.factorization_machine import FactorizationMachine, Machine
from models.family.member import Ratings

HIDDEN: Final = 32


class DeepMachine(Machine):
    """One hidden layer beside the pairs."""

    def __init__(self, size: tuple[int, int], tags: Tensor, factors: int, draw: torch.Generator) -> None:
        super().__init__(size, tags, factors, draw)
        self.first = nn.Parameter(
            torch.randn(3 * factors, HIDDEN, generator=draw) * (2 / (3 * factors)) ** 0.5
        )
        self.offset = nn.Parameter(torch.zeros(HIDDEN))
        self.second = nn.Parameter(torch.randn(HIDDEN, generator=draw) * HIDDEN**-0.5)

    def deep(self, u: Tensor, i: Tensor, t: Tensor) -> Tensor:
        """See `Machine.deep`."""
        return torch.relu(torch.cat((u, i, t), 1) @ self.first + self.offset) @ self.second


class DeepFM(FactorizationMachine):
    """The settings are those of the factorization machine."""

    def machine(self, ratings: Ratings, tags: Tensor, draw: torch.Generator) -> Machine:
        """See `FactorizationMachine.machine`."""
        return DeepMachine(ratings.size, tags, self._factors, draw)
