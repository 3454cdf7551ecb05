"""A recurrent cell: long short-term memory, part of whose input stays the same at every step."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Memory", "State"]

State = tuple[Tensor, Tensor]  # output and inner state of a cell, float32 [B, H] each


class Memory(nn.Module):
    """One step of an LSTM: what stays [B, S], what moves [B, M] and the state before -> the state, H units wide.

    Source: Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997, with the forget gates of Gers, Schmidhuber,
    Cummins, "Learning to Forget", 2000. Weights start uniform within 1 / sqrt(H), as torch's LSTMCell has them; the
    bias of the forget gates is 1 higher (Jozefowicz, Zaremba, Sutskever, "An Empirical Exploration of Recurrent Network
    Architectures", 2015), so that the first step is known at the last. The state before the first step is learned.
    """

    def __init__(self, stays: int, moves: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.told = nn.Parameter(torch.empty(4 * hidden, stays))
        self.weight = nn.Parameter(torch.empty(4 * hidden, moves + hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))  # of the input, forget and output gates, and the proposal
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))
        with torch.no_grad():
            self.bias[hidden : 2 * hidden] += 1
        self.output = nn.Parameter(torch.zeros(hidden))
        self.inner = nn.Parameter(torch.zeros(hidden))

    def begin(self, rows: int) -> State:
        """The state of so many rows before the first step."""
        return self.output.expand(rows, -1), self.inner.expand(rows, -1)

    def stay(self, stays: Tensor) -> Tensor:
        """What the input that stays [B, S] adds to the gates, [B, 4 H]: computed once, whatever the number of steps."""
        return F.linear(stays, self.told, self.bias)

    def forward(self, stayed: Tensor, moves: Tensor, before: State) -> State:
        """stayed: what `stay` gave; moves: [B, M]."""
        output, inner = before
        gates = torch.addmm(stayed, torch.cat([moves, output], 1), self.weight.T).float()
        take, forget, show = gates[:, : 3 * self.hidden].sigmoid().chunk(3, 1)
        inner = forget * inner + take * gates[:, 3 * self.hidden :].tanh()
        return show * inner.tanh(), inner
