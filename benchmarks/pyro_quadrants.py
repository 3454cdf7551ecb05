"""The conditional VAE of Pyro's tutorial on MNIST's quadrants, trained by Pyro and measured as the recipe quadrants is.

`python benchmarks/pyro_quadrants.py quadrants-1 [--data-dir FOLDER] [--ours RUN]` puts one variant into
results/benchmarks/pyro-quadrants.json; it needs `pip install pyro-ppl -c constraints.txt`.

Source: "Conditional Variational Auto-encoder" in Pyro's documentation, after Sohn, Lee, Yan, "Learning Structured
Output Representation using Deep Conditional Generative Models", 2015. A baseline first learns to guess the hidden
pixels from the seen ones; then a recognition network (reads the whole picture), a prior network (reads what is seen,
completed by the baseline's guess) and a generation network (reads z) are trained by SVI. Sizes, step size, batch and
patience are the tutorial's. On purpose different:

- training stops by 5,000 held-out training images, those that condvae holds out, not by the test images, so that the
  networks learn from 55,000 images, not 60,000;
- the likelihood is importance-weighted, K samples from the recognition network, on the first 2,000 test images. The
  tutorial's table calls a -ELBO of 10 samples a likelihood; the -ELBO of the K samples stands beside it here;
- networks give logits, not probabilities: the same score without its clamps.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import cyclopts
import numpy as np
import pyro  # pyright: ignore[reportMissingImports]
import pyro.distributions as dist  # pyright: ignore[reportMissingImports]
import torch
import torch.nn.functional as F
from bench import RESULTS, ROOT
from pyro.infer import SVI, Trace_ELBO  # pyright: ignore[reportMissingImports]
from pyro.optim import Adam  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
from torch import Tensor, nn

import condvae
from condvae.data import unit
from condvae.datasets import load
from condvae.objectives import effective_samples, importance_bound
from condvae.partials import partial
from condvae.recipes.quadrants import BESIDE, TUTORIAL, seen_of
from condvae.results import commit, entry, read, record
from condvae.scores import Importance
from condvae.splits import hold_out
from condvae.tasks import importance

Z, LR, BATCH, PATIENCE = 200, 1e-3, 128, 3
EPOCHS = 101  # at most, as in the tutorial
HELD, SAMPLES, TEST = 5000, 1000, 2000
MASKED = -1.0  # what the baseline reads at hidden pixels
CHUNK = 5  # images that are weighed at once: their K pictures are to stay in the processor's cache
PROTOCOL = (
    "grey MNIST; Pyro's tutorial network (baseline first; hidden pixels are -1), Adam 1e-3, batch 128, seed {seed}, "
    "{kept:,} training images, at most {epochs} epochs; unlike the tutorial, early stopping (patience 3, best weights "
    "kept) reads {held:,} held-out training images, those of condvae, never the test set; geometry of condvae's "
    "{variant}; only hidden pixels are scored, by grey BCE, an unnormalised score; the first {test:,} test images, "
    "{samples:,} importance samples an image from the recognition network, -ELBO of the same samples, nats; ours, "
    "where it stands, on the same images with as many samples under its own prior"
)
ABOUT = {"name": "pyro-quadrants", "title": "Pyro's conditional VAE on quadrants, measured as ours"}


def dense(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them, [B, first] -> [B, last]."""
    return nn.Sequential(*[layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())][:-1])


def latent(network: nn.Module, pictures: Tensor) -> Any:
    """Pictures [B, 784] -> a Normal over z [B, Z] with the scales as exponentials, as in the tutorial."""
    mean, log_scale = network(pictures).chunk(2, -1)
    return dist.Normal(mean, log_scale.exp()).to_event(1)


class Completer(nn.Module):
    """The conditional VAE: `model` and `guide` are what Pyro's SVI trains. hidden: numbers of the hidden pixels [H].

    whole: pictures [B, 784] in [0, 1]; guessed: the same with the baseline's guess at hidden pixels.
    """

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden
        self.recognition, self.prior = dense(784, 500, 500, 2 * Z), dense(784, 500, 500, 2 * Z)
        self.generation = dense(Z, 500, 500, 784)

    def pixels(self, z: Tensor) -> Any:
        """z [..., Z] -> a distribution over the hidden pixels [..., H]; unchecked, as grey pixels are not binary."""
        return dist.Bernoulli(logits=self.generation(z)[..., self.hidden], validate_args=False).to_event(1)

    def model(self, whole: Tensor, guessed: Tensor) -> None:
        pyro.module("completer", self)
        with pyro.plate("images", len(whole)):
            z = pyro.sample("z", latent(self.prior, guessed))
            pyro.sample("y", self.pixels(z), obs=whole[:, self.hidden])

    def guide(self, whole: Tensor, guessed: Tensor) -> None:
        with pyro.plate("images", len(whole)):
            pyro.sample("z", latent(self.recognition, whole))


def train(
    name: str,
    network: nn.Module,
    kept: tuple[Tensor, ...],
    held: tuple[Tensor, ...],
    step: Callable[..., object],
    cost: Callable[..., Any],
    epochs: int,
) -> dict[str, Any]:
    """Train until the held-out cost has not fallen for PATIENCE epochs; the network is left with its best weights.

    kept, held: tensors [N, 784] and [M, 784]; step and cost read a batch of them; cost is a batch's sum in nats.
    """
    best, last, weights = (math.inf, 0), 0, {}
    while last < epochs and last - best[1] < PATIENCE:
        last += 1
        for index in torch.randperm(len(kept[0])).split(BATCH):
            step(*(part[index] for part in kept))
        total = sum(cost(*batch) for batch in zip(*(part.split(BATCH) for part in held), strict=True))
        found = float(total) / len(held[0])
        print(f"{name}, epoch {last}: {found:.3f} nats on held-out images", file=sys.stderr, flush=True)
        if found < best[0]:
            best, weights = (found, last), copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    return {"epochs": last, "best_epoch": best[1], "held_out": best[0]}


class Baseline(nn.Module):
    """Guesses the hidden pixels from the seen ones. seen: bool [784]."""

    def __init__(self, seen: Tensor) -> None:
        super().__init__()
        self.seen, self.hidden = seen, torch.nonzero(~seen)[:, 0]
        self.layers = dense(784, 500, 500, 784)

    def cost(self, whole: Tensor) -> Tensor:
        """Pictures [B, 784] -> grey BCE of the hidden pixels, [] nats, summed over the batch."""
        logits = self.layers(torch.where(self.seen, whole, MASKED))[:, self.hidden]
        return F.binary_cross_entropy_with_logits(logits, whole[:, self.hidden], reduction="sum")

    @torch.no_grad()
    def guess(self, whole: Tensor) -> Tensor:
        """Pictures [N, 784] with hidden pixels as guessed."""
        return torch.where(self.seen, whole, self.layers(torch.where(self.seen, whole, MASKED)).sigmoid())

    def fit(self, kept: Tensor, held: Tensor, epochs: int) -> dict[str, Any]:
        """Pictures [N, 784] and [M, 784] -> how the training went."""
        optimizer = torch.optim.Adam(self.parameters(), lr=LR)

        def step(whole: Tensor) -> None:
            optimizer.zero_grad()
            (self.cost(whole) / len(whole)).backward()
            optimizer.step()

        return train("baseline", self, (kept,), (held,), step, torch.no_grad()(self.cost), epochs)


@torch.no_grad()
def weigh(network: Completer, whole: Tensor, guessed: Tensor, samples: int) -> Importance:
    """Importance weights of test pictures [N, 784] by K samples each; the networks read a picture once, not K times."""
    found: list[Tensor] = []
    for start in range(0, len(whole), CHUNK):
        x = whole[start : start + CHUNK]
        q, p = latent(network.recognition, x), latent(network.prior, guessed[start : start + CHUNK])
        z = q.sample((samples,))
        scores = network.pixels(z).log_prob(x[:, network.hidden])
        found.append((scores + p.log_prob(z) - q.log_prob(z)).double())
    weights = torch.cat(found, 1)  # [K, N]
    return Importance(importance_bound(weights).numpy(), effective_samples(weights).numpy(), weights.mean(0).numpy())


def summary(found: Importance) -> dict[str, Any]:
    """What the results say of importance weights, as the recipe words it."""
    nats = -found.log_prob
    values = {
        "nll": float(nats.mean()),
        "nll_standard_error": float(nats.std(ddof=1) / np.sqrt(len(nats))),
        "minus_elbo": float(-found.elbo.mean()),
        "effective_samples": float(found.effective.mean()),
    }
    # The committed run of the recipe has this number, too: fair beside it without its folder.
    return values if len(nats) < BESIDE else {**values, "nll_first_1000": float(nats[:BESIDE].mean())}


def committed(variant: str) -> dict[str, Any] | None:
    """What results/quadrants.json says of ours, on all of its test images; None where it says nothing."""
    runs = [run for run in read(ROOT / "results" / "quadrants.json") if run["variant"] == variant]
    return {"commit": runs[0]["commit"], **runs[0]["values"][variant]} if runs else None


def main(
    variant: Literal["quadrants-1", "quadrants-2", "quadrants-3"],
    *,
    data_dir: Path | None = None,
    ours: Path | None = None,
    images: int | None = None,
    epochs: int = EPOCHS,
    samples: int = SAMPLES,
    test: int = TEST,
    seed: int = 0,
    results: Path = RESULTS,
) -> None:
    """Train, measure and record one variant.

    Parameters
    ----------
    variant: how many quadrants are seen
    data_dir: folder with mnist/; where condvae finds it, if not given
    ours: a run of the recipe quadrants, measured on the same images
    images: training images, the first ones; all that are not held out, if not given
    epochs: of each of the two trainings, at most
    samples: importance samples an image
    test: test images, the first ones
    seed: of the weights, the order and the samples
    results: folder of the results file
    """
    if (images, epochs, samples, test) != (None, EPOCHS, SAMPLES, TEST) and results == RESULTS:
        raise SystemExit("a trial of other sizes does not belong among the results: name another folder by --results")
    torch.set_num_threads(1)
    pyro.set_rng_seed(seed)
    pyro.clear_param_store()
    start, source = time.perf_counter(), commit()  # others may commit while this runs
    run = None if ours is None else condvae.load(str(ours))
    if run is not None and run.settings.holes != variant:
        raise SystemExit(f"--ours must be a run of {variant}, and this one learned holes={run.settings.holes!r}")
    collection = load("mnist", data_dir)
    assert collection.test is not None
    rows, held_rows = hold_out(len(collection.train), collection.train.labels["digit"], HELD, 0)
    kept, held = (unit(collection.train.x[index]).flatten(1) for index in (rows[:images], held_rows))
    x = unit(collection.test.x[slice(0, test)]).flatten(1)
    seen = torch.from_numpy(seen_of(variant, (1, 1, 28, 28))).flatten()  # a fixed hole is that of every picture

    baseline = Baseline(seen)
    first = baseline.fit(kept, held, epochs)
    # The baseline stays as it is from here on, so what it guesses is computed once.
    network, data = Completer(baseline.hidden), [(part, baseline.guess(part)) for part in (kept, held, x)]
    svi = SVI(network.model, network.guide, Adam({"lr": LR}), loss=Trace_ELBO())
    second = train("cvae", network, data[0], data[1], svi.step, svi.evaluate_loss, epochs)
    minutes = (time.perf_counter() - start) / 60
    print(f"weighing {len(x)} images by {samples} samples each", file=sys.stderr, flush=True)
    values: dict[str, Any] = {
        "pyro": {
            **summary(weigh(network, *data[2], samples)),
            "baseline_bce": baseline.cost(x).item() / len(x),
            "training": {"minutes": round(minutes, 2), "baseline": first, "cvae": second},
        },
        "k": samples,
        "images": len(x),
        "published_minus_elbo": TUTORIAL[variant],
        "ours_committed": committed(variant),
    }
    if run is not None:
        pictures = x.view(-1, 1, 28, 28).numpy()
        given = {"picture": partial(pictures, seen_of(variant, pictures.shape))}
        values["ours"] = summary(importance(run.learned, pictures, given, samples, 0, prior="model"))
    words = PROTOCOL.format(
        variant=variant, kept=len(kept), held=len(held), epochs=epochs, test=len(x), samples=samples, seed=seed
    )
    settings = {"z": Z, "hidden": (500, 500), "batch": BATCH, "lr": LR, "patience": PATIENCE, "pyro": pyro.__version__}
    made = entry(variant, seed, values, words, (time.perf_counter() - start) / 60, settings)
    results.mkdir(parents=True, exist_ok=True)
    record(results / "pyro-quadrants.json", {**made, "commit": source}, ABOUT)
    print(values)


if __name__ == "__main__":
    cyclopts.run(main)
