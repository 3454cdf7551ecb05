"""What all benchmarks share: MNIST in memory, zhang-cai's networks in torch, the machine, the results."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "benchmarks"
BATCH = 100


@dataclass(frozen=True)
class Mnist:
    """uint8 images [N, 28, 28] and uint8 digits [N]."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def mnist(data_dir: Path | None) -> Mnist:
    """MNIST as condvae finds it: in the folder given, in CONDVAE_DATA, in the cache, else downloaded."""
    from condvae.datasets import load

    collection = load("mnist", data_dir)
    parts = [collection.train, collection.test]
    arrays: list[np.ndarray] = []
    for part in parts:
        assert part is not None
        arrays += [part.x[slice(None)][:, 0].numpy(), np.array(part.labels["digit"], np.uint8)]
    return Mnist(*arrays)


class Networks(nn.Module):
    """Encoder (784+10)-512-256-(2, 2), decoder (2+10)-256-512-784, ReLU (Zhang and Cai's slides)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(794, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU())
        self.mean, self.logvar = nn.Linear(256, 2), nn.Linear(256, 2)
        self.decoder = nn.Sequential(nn.Linear(12, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784))

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, 784] in [0, 1], c [B, 10] one-hot -> logits [B, 784], mean and log-variance of q [B, 2]."""
        hidden = self.encoder(torch.cat([x, c], 1))
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return self.decoder(torch.cat([z, c], 1)), mean, logvar


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, e^logvar) || N(0, I)), summed over everything."""
    return -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())


def test_loss(networks: Networks, data: Mnist) -> float:
    """BCE + KL in nats an image over the grey test images, one seeded sample of z; random state untouched."""
    x = torch.from_numpy(data.x_test).flatten(1).float() / 255
    c = F.one_hot(torch.from_numpy(data.y_test).long(), 10).float()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        logits, mean, logvar = networks(x, c)
        total = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + divergence(mean, logvar)
    return total.item() / len(x)


def settings(threads: int, precision: str) -> None:
    """Each contender starts from settings of its own, whatever the one before it left behind."""
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


def load_average() -> float | None:
    """What the machine was doing before the start, None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def processor() -> str:
    """The processor's model, by which numbers of different machines are told apart."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def publish(
    path: Path,
    values: dict[str, Any],
    protocol: str,
    began: float,
    load: float | None,
    threads: int,
    variant: str | None = None,
    seed: int | None = None,
) -> None:
    """Put the run into its results file, in place of an earlier one of the same variant and seed.

    began: time.perf_counter() at the start; load: load_average() then; variant: the number of threads, if not named.
    """
    from condvae import results

    where = {**results.machine(), "threads": threads, "processor": processor(), "load_before": load}
    run = {
        "variant": variant or f"{threads} threads",
        **({} if seed is None else {"seed": seed}),
        "values": values,
        "protocol": protocol,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "commit": results.commit(),
        "machine": where,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    results.record(path, run)
    print(f"written: {path}")
