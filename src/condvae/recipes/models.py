"""models: every model of the house on one protocol, one budget and one set of test images. A recipe of our own.

Binarised MNIST, the label told, as many epochs as about two minutes of one quiet core buy, four where the machine is
busy. Networks and rates are those of the recipes and defaults that the house has for each model; nothing was tuned for
this table. `docs/models.md` has it.

A further model is one entry of VARIANTS, the page of `docs/` that tells of it, and its name in `docs/tables.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import chain
from typing import Any

from PIL.Image import Image

from condvae.evaluation import Evaluation
from condvae.learned import CHUNK, pictures_of
from condvae.likelihoods import weighed
from condvae.models.base import Model
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.best_mnist import RECIPES as BEST
from condvae.recipes.draw import PAPER as DRAW
from condvae.recipes.few_labels import DENSE
from condvae.recipes.ladder import LADDER
from condvae.recipes.proof import DRAWS, drawn_of, evaluated
from condvae.recipes.sabour import SETTINGS as SABOUR
from condvae.recipes.sharper import label_rows
from condvae.subject import chosen, subject_of
from condvae.tasks import Learned, generate

K, WEIGHED = 100, 1_000  # importance samples an image, and images, drawn by the seed
SEED = 0
HELD = 1_000  # training images that no model learns from
ROUNDS = 3  # of which the quickest counts: whatever else the machine does only slows it


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Size, speed, bound, likelihood and drawings; under the density fitted to the latents, too, where there is one."""
    learned = outcome.learned
    rows = (len(outcome.collection.train) - HELD) * len(outcome.history)
    values: dict[str, Any] = {
        **sizes(learned),
        "epochs": len(outcome.history),
        "images_a_second_trained": rows / (60 * outcome.cpu_minutes) if outcome.cpu_minutes else None,
        "images_a_second_drawn": drawn_a_second(learned),
    }
    for prior in ("model",) if learned.fitted is None else ("model", "fitted"):
        values[prior] = under(outcome, prior)
    return values, lines_of(values)


def sizes(learned: Learned) -> dict[str, int]:
    """Parameters of the model as a run stores it, without what only training needs, and of the fitted density."""
    helpers = learned.model.helpers if isinstance(learned.model, Model) else ()
    kept = (weight for name, weight in learned.model.named_parameters() if not name.startswith(helpers))
    fitted = () if learned.fitted is None else chain(learned.fitted.parameters(), learned.fitted.buffers())
    return {
        "parameters": sum(weight.numel() for weight in kept),
        "density_parameters": sum(one.numel() for one in fitted if one.is_floating_point()),
    }


def drawn_a_second(learned: Learned) -> float:
    """Pictures a second of one core, drawn in one chunk under the prior that is the default; processor time."""
    asked = {field.name: field.values[0] for field in learned.schema.labels}
    seconds: list[float] = []
    for _ in range(1 + ROUNDS):
        begun = time.process_time()
        generate(learned, asked, CHUNK)
        seconds.append(time.process_time() - begun)
    return CHUNK / min(seconds[1:])  # the first makes room in memory


def under(outcome: Outcome, prior: str) -> dict[str, Any]:
    """Everything that depends on the prior: bound and KL of all test images, -log p of some, drawings; nats."""
    found = evaluated(outcome, prior)
    values = {"kl": found.rate.mean, "active_units": found.active_units, "units": len(found.kl_per_unit)}
    return {**values, **likelihood(outcome, found, prior), **reading(outcome, found), **drawn_of(found)}


def likelihood(outcome: Outcome, found: Evaluation, prior: str) -> dict[str, Any]:
    """-ELBO of all test images, one posterior sample each, and -log p of the same 1,000 for every model; nothing of a
    model that has no likelihood."""
    learned, part = outcome.learned, outcome.collection.test
    if found.bound is None or part is None:
        return {}
    given = {field.name: part.labels[field.name] for field in learned.schema.labels}
    subject = subject_of(learned, pictures_of(learned, part.x), given, prior, SEED)
    nats = weighed(subject, chosen(len(part), WEIGHED, SEED), K)
    return {
        "minus_elbo": -found.bound.mean,
        "minus_elbo_standard_error": found.bound.standard_error,
        "images": found.bound.images,
        "nll": nats.mean,
        "nll_standard_error": nats.standard_error,
        "nll_images": nats.images,
        "k": nats.k,
        "effective_samples": nats.effective_mean,
        "effective_samples_least": nats.effective_least,
    }


def reading(outcome: Outcome, found: Evaluation) -> dict[str, Any]:
    """The share of all test labels that a model misreads, of one that reads them itself."""
    if outcome.learned.infers is None or found.classification is None:
        return {}
    return {"misread": 1 - found.classification.share}


def lines_of(values: Mapping[str, Any]) -> list[Line]:
    """What is reported of every model; no source published this protocol, and nothing is asked of it."""
    found: list[Line] = []
    for prior, name in (("model", "the model's own prior"), ("fitted", "fitted density")):
        for key, what in (
            ("minus_elbo", "-ELBO, nats"),
            ("nll", f"-log p, K = {K}, nats"),
            ("obedience", "asked label read back"),
            ("frechet", "Frechet distance in the judge's features"),
        ):
            value = values.get(prior, {}).get(key)
            if value is not None:
                found.append(Line(f"{what}, {name}", None, value))
    return found


def pictures(outcome: Outcome) -> dict[str, Image]:
    """Ten drawings of each digit."""
    return {"labels": label_rows(outcome)}


# what every model has: the protocol
SHARED: dict[str, Any] = {"binarise": "dynamic", "hold_out": HELD, "density_components": 40}
CONV: dict[str, Any] = {"network": "conv", "likelihood": "bernoulli"}  # all else as the house has it by default
M2: dict[str, Any] = {**DENSE, "infer": "digit", "classify": 20.0, "density": "auto"}
VARIANTS: dict[str, dict[str, Any]] = {
    "dense": {**SABOUR, "epochs": 20},
    "conv": {**CONV, "epochs": 2},
    "learned-prior": {**CONV, "prior": "learned", "epochs": 2},
    "mixture-prior": {**CONV, "prior": "mixture", "epochs": 2},
    # blind as it is where best-mnist trains as briefly
    "autoregressive": {**BEST[0].settings, **BEST[0].variants["choice-all"], "precision": "32", "epochs": 2},
    "vae": {**CONV, "epochs": 2},
    "m2": {**M2, "epochs": 12},
    "m1-m2": {**M2, "features_first": 0.3, "epochs": 15},
    "gan": {**CONV, "prior": "mixture", "adversarial": 1.0, "epochs": 1},
    "deep-features": {"likelihood": "perceptual", "epochs": 1},
    "draw": {**DRAW, "glimpses": 10, "epochs": 2},
    "ladder": {**LADDER, "likelihood": "bernoulli", "epochs": 1},
    "ladder-autoregressive": {**LADDER, "blind": 0.3, "epochs": 1},
}
VARIANTS = {name: {**settings, **SHARED} for name, settings in VARIANTS.items()}
VARIANTS["deep-features"]["binarise"] = "grey"  # features are of grey pictures

RECIPES = [
    Recipe(
        name="models",
        title="Every model of the house on one protocol",
        source="a recipe of this project",
        data="mnist",
        settings={},
        protocol="MNIST, 59,000 training images binarised anew each time they are read (deep-features: grey), 1,000 "
        "held out, which choose nothing; the label told (vae: none; m2, m1-m2: inferred, and known throughout); "
        "float32, one thread, as many whole epochs as about two minutes of one core buy on a quiet machine, which a "
        "busy one stretches to twice that; -ELBO and KL of all 10,000 test images, one seeded binarisation, one "
        f"posterior sample an image; -log p(x|y), of vae -log p(x), of the same {WEIGHED:,} test images for every "
        f"model, drawn by the seed, {K} importance samples each; nats, without log p(label); {DRAWS:,} drawings at the "
        "labels of the test images, decoder means, temperature 1, read by a judge trained on real grey training images "
        "alone; under the model's own prior and, where one can be fitted, under the density fitted to training "
        f"latents; images/s of one core: processor time, drawing {CHUNK} pictures under the default prior",
        measure=measure,
        draw=pictures,
        variants=VARIANTS,
        unconditional=frozenset({"vae"}),
        features=frozenset({"deep-features"}),
        seeds=(SEED,),
    )
]
