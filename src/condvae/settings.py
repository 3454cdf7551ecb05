"""Every knob of a model and its training, in one typed model: the Python keywords, the command's flags and the file.

A recipe is a row of differences over these defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from condvae.errors import Refused, suggest

Network = Literal["conv", "mlp", "draw", "ladder"]
Likelihood = Literal["auto", "bernoulli", "autoregressive", "gaussian", "logistic", "logistic-mixture", "perceptual"]
Binarise = Literal["grey", "dynamic", "static"]
Density = Literal["auto", "gaussian", "mixture", "flow", "none"]
Holes = Literal[
    "none", "any", "quadrants-1", "quadrants-2", "quadrants-3", "quadrants", "halves", "boxes", "strokes", "pixels",
    "outpainting",
]  # fmt: skip
Balance = Literal["auto", "always", "never"]


class Settings(BaseModel):
    """Settings of a model and its training; the defaults are meant for data that nobody has tuned to."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    network: Network = "conv"
    """Encoder and decoder: "conv" (residual convolutions), "mlp" (dense layers), "draw" (recurrent: the picture is
    drawn in steps, each with latents of its own), or "ladder" (latents on many levels, from a vector to fine maps)."""
    hidden: tuple[int, ...] = (500, 500)
    """Sizes of the encoder's dense layers; the decoder has them in reverse order (network "mlp")."""
    width: int = Field(24, ge=1)
    """Channels of the first convolution; doubled with each halving of the picture (networks "conv" and
    "ladder")."""
    blocks: int = Field(2, ge=0)
    """Residual blocks at each size (networks "conv" and "ladder")."""
    features: int = Field(128, ge=1)
    """Units of the dense layer between convolutions and latents, where the condition enters (networks "conv" and
    "ladder")."""
    activation: Literal["relu", "silu", "tanh", "gelu"] = "silu"
    """Activation of every layer."""
    normalise: Literal["batch", "none"] = "batch"
    """Normalisation of the convolutions' features (network "conv")."""
    glimpses: int = Field(16, ge=1)
    """Steps in which the picture is drawn (network "draw")."""
    lstm: int = Field(256, ge=1)
    """Units of each of the two recurrent networks (network "draw")."""
    attention: bool = True
    """Read and write through a window that moves; without it the whole picture at each step (network "draw")."""
    read: int = Field(5, ge=1)
    """Filters to each side of the window that is read through (with attention)."""
    write: int = Field(5, ge=1)
    """Filters to each side of the window that is written through (with attention)."""
    levels: tuple[int, ...] = Field((1, 2, 4), min_length=1)
    """Levels of latents at each size of a feature map, from the vector on, each size twice the one before: of pictures
    of 28 x 28 those are 1, 4, 7, 14 and 28 (network "ladder")."""
    maps: int = Field(4, ge=1)
    """Latents a pixel of a level that is no vector (network "ladder")."""
    z: int | None = Field(None, ge=1)
    """Number of latent units, of each step where there are several, by default 32; training leaves those empty that the
    data do not need."""
    prior: Literal["standard", "learned", "mixture"] = "standard"
    """Prior of the latents in training: N(0, I), or a Normal or mixture of Normals learned for each condition."""
    components: int = Field(20, ge=1)
    """Normals in a learned mixture prior (prior "mixture")."""
    likelihood: Likelihood = "auto"
    """Distribution of the pixels; "auto" chooses from the data and says so; "perceptual" compares deep features, and
    is no distribution."""
    sigma: float | Literal["learned", "optimal"] = "optimal"
    """Noise of a Gaussian likelihood: a number, learned, or the optimal one."""
    perceptual: str | None = None
    """Where the features come from: a folder that `condvae train-features` wrote, or a file of VGG-19's weights (with
    likelihood "perceptual")."""
    layers: tuple[str, ...] = ()
    """Layers whose features are compared, by default conv1,conv2,conv3, or relu1_1,relu2_1,relu3_1 of VGG-19 (with
    likelihood "perceptual")."""
    perceptual_weight: float = Field(500.0, gt=0)
    """Weight of the difference of features, half the mean square of each layer summed over them, against the KL (with
    likelihood "perceptual")."""
    binarise: Binarise = "grey"
    """What the model sees of grey pixels: themselves, a new binary draw each time, or one fixed binary draw."""
    holes: Holes = "none"
    """Holes that the model learns to fill: "any", or one kind; only hidden pixels are then scored."""
    drop: float | None = Field(None, ge=0, lt=1)
    """Share of the rows from which each field is hidden in training, so that it may be left out; by default 0.1 of a
    field that has blanks in the data, else 0."""
    balance: Balance = "auto"
    """Batches in which all values of the most uneven label are equally frequent: "auto" = from about 5 to 1 on."""
    infer: str | None = None
    """Label that the model itself infers where it is blank, and sums out in training (M2); "auto" = the label with the
    most blanks. Without it a blank label is an input like another."""
    labels: int | None = Field(None, ge=0)
    """Labels that are kept, equally many of each class, drawn by the seed; the rest is left blank. For trials of few
    labels (with infer)."""
    classes: int | None = Field(None, ge=2)
    """Classes of the inferred label, where the data name fewer of them: the others are clusters (with infer)."""
    class_prior: Literal["shares", "uniform", "learned"] = "shares"
    """Prior of the inferred label: the known labels' shares, equal ones, or learned with the rest (with infer)."""
    labelled_share: float = Field(0.25, gt=0, lt=1)
    """Share of each batch's rows whose inferred label is known; what that favours is weighed back (with infer)."""
    classifier: Literal["auto", "dense", "residual"] = "auto"
    """Classifier of the inferred label: dense layers, or residual convolutions; by default as the network is."""
    classify: float = Field(10.0, ge=0)
    """Weight of the classifier's cross entropy on known labels, in nats a row (with infer)."""
    consistency: float = Field(0.0, ge=0)
    """Weight of the cross entropy between sure readings of pictures and those of their turned, scaled, shifted and cut
    twins (with infer)."""
    information: float = Field(0.0, ge=0)
    """Weight of the information that the readings of pictures and of their changed twins lack of one another: classes
    form where the pictures themselves fall apart, equally frequent as the prior says (with infer)."""
    guide: float = Field(0.0, ge=0, lt=1)
    """Share of the training in which a dense classifier finds the classes by information, and the classifier learns
    from its sure readings: what is alike pixel by pixel is then one class (with consistency and information)."""
    teacher: float = Field(0.0, ge=0, lt=1)
    """Decay of the averaged classifier whose readings are made consistent with; 0 = the classifier's own (with
    consistency)."""
    mixup: float = Field(0.0, ge=0)
    """Weight of the cross entropy of pictures mixed in pairs (with infer and consistency)."""
    auxiliary: int = Field(0, ge=0)
    """Units of an auxiliary latent that classifier and encoder read beside the picture; 0 = none (with infer)."""
    features_first: float = Field(0.0, ge=0, lt=1)
    """Share of the training in which a plain VAE learns features of the pictures, as many as z; on samples of them M2
    then learns, by dense networks (M1+M2); 0 = no features, M2 reads pixels (with infer)."""
    head_features: int = Field(24, ge=1)
    """Channels of the feature map that an autoregressive likelihood reads."""
    context: int = Field(1, ge=1)
    """Masked layers that read the pixels drawn before (with an autoregressive likelihood)."""
    logistics: int = Field(5, ge=1)
    """Logistics in each pixel's mixture (with likelihood "logistic-mixture")."""
    blind: float = Field(0.15, ge=0, le=1)
    """Share of the training over which an autoregressive layer learns to see, so that the latents learn first."""

    adversarial: float = Field(0.0, ge=0)
    """Pull of a critic that tells drawn pictures from real ones, as a multiple of the likelihood's own pull on a
    reconstruction (VAE-GAN); 0 = no critic. The prior is then a learned mixture, unless one is asked for."""
    matching: float = Field(0.5, ge=0)
    """Pull of reconstructions towards the features that the critic sees in the original, in the same measure (with
    adversarial)."""
    critic_width: int = Field(32, ge=1)
    """Channels of the critic's first convolution (with adversarial)."""
    critic_start: float = Field(0.5, ge=0, lt=1)
    """Share of the training after which the critic joins: what comes before is quicker (with adversarial)."""
    critic_rate: float = Field(1.0, gt=0)
    """The critic's learning rate as a multiple of lr (with adversarial)."""

    epochs: int = Field(30, ge=0)
    """Passes over the training data."""
    batch: int | None = Field(None, ge=1)
    """Rows a step; by default 16 to 128, so that an epoch of few rows still has many steps."""
    lr: float = Field(2e-3, gt=0)
    """Learning rate."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Optimiser: Adam, or AdamW with weight decay 0.01."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the training: constant, or falling to zero along a cosine after a short rise."""
    average: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights that are used after training; 0 = the raw weights."""
    beta: float = Field(1.0, ge=0)
    """Weight of the KL; anything but 1 is not the ELBO, and the results say so."""
    warm_up: float = Field(0.15, ge=0, le=1)
    """Share of the training over which the weight of the KL goes from beta_start to beta."""
    beta_start: float = Field(0.0, ge=0)
    """Weight of the KL at the start: 0 wakes latents; above beta, it lets the label be learned before them."""
    free_bits: float = Field(0.0, ge=0)
    """Nats of KL a latent unit that are not charged."""
    samples: int = Field(1, ge=1)
    """Monte-Carlo samples of the latents a row and step."""
    importance: bool = False
    """Train on the importance-weighted bound of the samples in place of the ELBO, after the warm-up."""
    clip: float = Field(0.0, ge=0)
    """Largest norm of the gradient, clipped after backward; 0 = no clipping."""
    density: Density = "auto"
    """Density fitted to the latents after training, the default prior for generation; "flow" fits a conditional
    coupling flow beside the mixture (needs zuko)."""
    density_components: int = Field(160, ge=1)
    """Gaussians of each label's fine mixture in that density, at most; fewer make a smaller file."""
    hold_out: float = Field(0.05, ge=0)
    """Training rows kept back for the validation bound: a share below 1, else a number of rows."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random in the training."""
    device: str = "auto"
    """Device: "auto", "cpu", "cuda", "mps"."""
    devices: int = Field(1, ge=1)
    """Number of devices or processes."""
    precision: Literal["32", "bf16"] = "32"
    """Arithmetic of the networks: float32, or bfloat16 where it is safe."""
    threads: int = Field(0, ge=0)
    """Threads on the CPU; 0 = as the process has them. Stored in the run."""


class Overrides(TypedDict, total=False):
    """The same knobs, each of which may be left out: keywords of `condvae.fit`."""

    network: Network
    hidden: tuple[int, ...]
    width: int
    blocks: int
    features: int
    activation: Literal["relu", "silu", "tanh", "gelu"]
    normalise: Literal["batch", "none"]
    glimpses: int
    lstm: int
    attention: bool
    read: int
    write: int
    levels: tuple[int, ...]
    maps: int
    z: int | None
    prior: Literal["standard", "learned", "mixture"]
    components: int
    likelihood: Likelihood
    sigma: float | Literal["learned", "optimal"]
    perceptual: str | None
    layers: tuple[str, ...]
    perceptual_weight: float
    binarise: Binarise
    holes: Holes
    drop: float | None
    balance: Balance
    infer: str | None
    labels: int | None
    classes: int | None
    class_prior: Literal["shares", "uniform", "learned"]
    labelled_share: float
    classifier: Literal["auto", "dense", "residual"]
    classify: float
    consistency: float
    information: float
    guide: float
    teacher: float
    mixup: float
    auxiliary: int
    features_first: float
    head_features: int
    context: int
    logistics: int
    blind: float
    adversarial: float
    matching: float
    critic_width: int
    critic_start: float
    critic_rate: float
    epochs: int
    batch: int | None
    lr: float
    optimiser: Literal["adam", "adamw"]
    schedule: Literal["constant", "cosine"]
    average: float
    beta: float
    warm_up: float
    beta_start: float
    free_bits: float
    samples: int
    importance: bool
    clip: float
    density: Density
    density_components: int
    hold_out: float
    seed: int
    device: str
    devices: int
    precision: Literal["32", "bf16"]
    threads: int


def settings_of(*layers: Mapping[str, Any]) -> Settings:
    """Settings from layers of differences, the later winning; Refused in one sentence where one is not possible."""
    values = {name: value for layer in layers for name, value in layer.items()}
    for name in values:
        if name not in Settings.model_fields:
            raise Refused(f"{name!r} is not a setting{suggest(name, Settings.model_fields)}")
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise Refused(f"{name} was given as {values.get(name)!r}: {first['msg'].lower()}") from None
