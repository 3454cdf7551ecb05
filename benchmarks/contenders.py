"""The loops that are compared: each trains zhang-cai's networks at batch 100, float32, and times its
epochs.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from bench import BATCH, Networks, divergence, settings
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from condvae.runs import Run
    from condvae.train import Batches, Step, Training


class PilImages(Dataset[tuple[Tensor, int]]):
    """One image at a time, uint8 -> PIL -> float tensor [1, 28, 28], step by step as torchvision does it."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.x[index].numpy())
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], len(picture.getbands()))
        return pixels.permute((2, 0, 1)).contiguous().float().div(255), int(self.y[index])


def one_hot(labels: Tensor) -> Tensor:
    """[B] -> [B, 10], label by label, as the tutorials do."""
    rows = torch.zeros(labels.size(0), 10)
    for row, label in enumerate(labels):
        rows[row][label] = 1
    return rows


def tutorial(x: np.ndarray, y: np.ndarray, threads: int) -> Iterator[tuple[float, Networks]]:
    """(a) The loop of the tutorials, torch's settings left alone: (seconds, networks) after each epoch."""
    networks = Networks()
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3)
    loader = DataLoader(PilImages(x, y), batch_size=BATCH, shuffle=True)
    while True:
        settings(threads, "highest")
        start = time.perf_counter()
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            flat = images.view(-1, 784)
            logits, mean, logvar = networks(flat, one_hot(labels))
            error = F.binary_cross_entropy(torch.sigmoid(logits), flat, reduction="sum")
            loss = error + divergence(mean, logvar)
            loss.backward()
            total += loss.item()
            optimizer.step()
        yield time.perf_counter() - start, networks


def bare(x: np.ndarray, y: np.ndarray, threads: int) -> Iterator[tuple[float, Networks]]:
    """(c) The barest loop on indexed tensors with the fastest settings known; it logs nothing."""
    networks = Networks()
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3, fused=True)
    pixels, digits = torch.from_numpy(x).flatten(1), torch.from_numpy(y).long()
    eye = torch.eye(10)
    while True:
        settings(threads, "medium")
        start = time.perf_counter()
        for index in torch.randperm(len(pixels)).split(BATCH):
            flat = pixels[index].float().div_(255)
            logits, mean, logvar = networks(flat, eye[digits[index]])
            error = F.binary_cross_entropy_with_logits(logits, flat, reduction="sum")
            loss = error + divergence(mean, logvar)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield time.perf_counter() - start, networks


@dataclass(frozen=True)
class Fit:
    """What one call of condvae.fit took, in seconds.

    training: from the first step asked for to the last one given, so the bar and the log are in it;
    logged: what history.jsonl says, the steps alone;
    whole: the call, with set-up, density, pictures and report;
    images: images trained on, all epochs together.
    """

    run: Run
    training: float
    logged: float
    whole: float
    images: int


def public_api(x: np.ndarray, y: np.ndarray, threads: int, chosen: dict[str, Any]) -> Fit:
    """(d) condvae.fit, bar and logging on, with a run folder and the settings `chosen` over the recipe's."""
    import condvae
    from condvae import fitting

    settings(threads, "highest")
    stamps: list[float] = []
    train = fitting.train

    def stamped(training: Training, batches: Batches, epochs: int) -> Iterator[Step]:
        stamps.append(time.perf_counter())
        for step in train(training, batches, epochs):
            stamps[1:] = [time.perf_counter()]
            yield step

    given: dict[str, Any] = {"recipe": "zhang-cai", "hold_out": 0, "seed": 0, **chosen}
    with tempfile.TemporaryDirectory() as folder, patch.object(fitting, "train", stamped):
        start = time.perf_counter()
        run = condvae.fit(x, {"digit": y}, out=str(Path(folder) / "run"), **given)
        whole = time.perf_counter() - start
        lines = (Path(folder) / "run" / "history.jsonl").read_text().splitlines()
    trained = run.facts["data"]["rows"] * len(lines)
    return Fit(run, stamps[1] - stamps[0], json.loads(lines[-1])["seconds"], whole, trained)
