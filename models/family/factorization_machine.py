"""Factorization machine over user, item and tags, by stochastic gradients.

Rendle. Factorization machines. ICDM 2010. While it learns, some ratings come without their item's own
weights, so that those of the tags learn to speak for items that nobody has rated.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from models.family.member import Floats, Ints, Member, Ratings

BATCH: Final = 4096
RATE: Final = 0.01
WITHOUT_ITEM: Final = 0.1
"""Share of the ratings that are learnt from without their item's own weights."""


class Machine(nn.Module):
    """Biases and pairs of one user, one item and the tags of the item."""

    def __init__(self, size: tuple[int, int], tags: Tensor, factors: int, draw: torch.Generator) -> None:
        super().__init__()
        self.tags = tags
        widths = (*size, tags.shape[1])
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths)
        self.vectors = nn.ParameterList(
            torch.randn(width, factors, generator=draw) * 0.05 for width in widths
        )

    def forward(self, users: Tensor, items: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Predict; returns (n,) scaled ratings, and the sum of squares of the vectors that they used.

        Args:
            users: (n,) int64.
            items: (n,) int64.
            own: (n,) 1 where the item's own weights count, else 0.
        """
        x = self.tags[items]
        of_user, of_item, of_tag = self.vectors
        u, i = of_user[users], of_item[items] * own[:, None]
        t = x @ of_tag
        bias = self.biases[0][users] + self.biases[1][items] * own + x @ self.biases[2]
        among_tags = (t.square() - x.square() @ of_tag.square()).sum(1) / 2
        pairs = (u * i).sum(1) + ((u + i) * t).sum(1) + among_tags
        return bias + pairs + self.deep(u, i, t), u.square().sum() + i.square().sum() + t.square().sum()

    def deep(self, u: Tensor, _i: Tensor, _t: Tensor) -> Tensor:
        """Return what is added to the pairs, (n,): nothing here."""
        return u.new_zeros(len(u))


class FactorizationMachine(Member):
    """Mean, biases and pairs of everything known about a rating."""

    def __init__(
        self, *, factors: float = 16, regularisation: float = 0.02, sweeps: float = 15, seed: float = 0
    ) -> None:
        """Take the length of a vector, the weight of squares, passes over the ratings, and a seed."""
        self._factors, self._regularisation = int(factors), regularisation
        self._sweeps, self._seed = int(sweeps), int(seed)

    def machine(self, ratings: Ratings, tags: Tensor, draw: torch.Generator) -> Machine:
        """Return what is fitted."""
        return Machine(ratings.size, tags, self._factors, draw)

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        draw = torch.Generator().manual_seed(self._seed)
        self._mean, self._unit = float(ratings.values.mean()), float(ratings.values.std()) or 1.0
        users, items = torch.from_numpy(ratings.users), torch.from_numpy(ratings.items)
        wanted = torch.from_numpy((ratings.values - self._mean) / self._unit).float()
        tags = torch.from_numpy(ratings.tags.toarray()).float()
        self._machine = self.machine(ratings, tags, draw)
        steps = self._sweeps * -(-len(wanted) // BATCH)
        optimiser = torch.optim.Adam(self._machine.parameters(), lr=RATE)
        falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=steps)
        self._machine.train()
        for _ in range(self._sweeps):
            order = torch.randperm(len(wanted), generator=draw)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                own = (torch.rand(len(batch), generator=draw) >= WITHOUT_ITEM).float()
                found, squares = self._machine(users[batch], items[batch], own)
                loss = (found - wanted[batch]).square().mean() + self._regularisation * squares / len(batch)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                falling.step()
        self._machine.eval()
        rated = torch.bincount(items, minlength=ratings.size[1]) > 0
        self._rated = rated.float()
        return self

    @torch.no_grad()
    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`; an item without ratings is its tags."""
        parts = []
        for start in range(0, len(users), 16 * BATCH):
            some = torch.from_numpy(items[start : start + 16 * BATCH])
            found, _ = self._machine(
                torch.from_numpy(users[start : start + 16 * BATCH]), some, self._rated[some]
            )
            parts.append(found.double().numpy())
        return np.asarray(self._mean + self._unit * np.concatenate([np.zeros(0), *parts]))
