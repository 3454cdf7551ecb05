"""From settings to a model: which networks and heads are handed to which class."""

from __future__ import annotations

import math

import torch
from torch import nn

from condvae.autoregressive import AutoregressiveHead
from condvae.choice import ChoiceHead, ClassPrior
from condvae.classifiers import ConvClassifier, DenseClassifier
from condvae.conditions import Label, Schema
from condvae.convs import ConvDecoder, ConvEncoder
from condvae.critics import Critic
from condvae.errors import Refused
from condvae.glimpses import GlimpseReader, GlimpseWriter, PictureReader, PictureWriter
from condvae.heads import GaussianHead, pixel_head
from condvae.logistics import LogisticMixtureHead
from condvae.models.base import Objective, Reading
from condvae.models.draw import DRAW
from condvae.models.gan import GAN, Adversary
from condvae.models.ladder import Ladder
from condvae.models.m2 import M2, Auxiliary
from condvae.models.stack import FeatureHead, Stack
from condvae.models.vae import VAE
from condvae.nets import DenseDecoder, DenseEncoder, Shape
from condvae.perceptual import PerceptualHead
from condvae.priors import ConditionalMixture, ConditionalNormal, SeenPrior, StandardNormal
from condvae.recurrent import Memory
from condvae.rows import RowHead
from condvae.rungs import Gated, Grow, Reader, Rung, Start, Unfold, VectorPosterior, channels, shrinking
from condvae.settings import Settings

LATENTS = 32  # where the settings have no say


def build(
    settings: Settings, schema: Schema, shape: Shape, outputs: Schema | None = None, helpers: bool = True
) -> VAE | GAN | M2 | Stack | DRAW | Ladder:
    """The model of these settings for pictures of `shape` [C, H, W]; its weights drawn from the seed alone.

    outputs: the fields of generated table rows, which then take the place of pixels; shape is [1, 1, W]. helpers:
    with the networks that only training needs.
    """
    s = settings if helpers else settings.model_copy(update={"guide": 0.0, "teacher": 0.0})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s.seed)
        if s.infer is not None and s.features_first:
            model = stacked(s, schema, shape)
        elif s.network == "draw":
            model = drawing(s, schema, shape)
        elif s.network == "ladder":
            model = climbing(s, schema, shape)
        else:
            vae = assemble(s, schema, shape, outputs)
            model = vae if s.infer is None else inferring(vae, s, schema, shape)
            if s.adversarial:
                model = judged(vae, s, schema, shape, helpers)
    objective = Objective(s.beta, s.warm_up, s.beta_start, s.free_bits, s.samples, s.importance)
    within = {Stack: ("bottom", "top"), GAN: ("vae",)}.get(type(model), ())
    for part in (model, *(getattr(model, name) for name in within)):
        part.objective = objective
    return model.eval()


def stacked(s: Settings, schema: Schema, shape: Shape) -> Stack:
    """M1, a VAE of pictures without a condition, and M2 of dense networks, whose pictures are M1's latents."""
    z, features = s.z or LATENTS, (1, 1, s.z or LATENTS)
    bottom = assemble(s.model_copy(update={"prior": "standard"}), Schema(()), shape)
    dense = s.model_copy(update={"network": "mlp"})
    decoder = DenseDecoder(z, schema.width, s.hidden[::-1], (2, 1, z), FeatureHead(), s.activation)
    top = VAE(encoder_of(dense, features, schema.width, z, False), prior_of(s, schema.width), decoder)
    return Stack(bottom, inferring(top, dense, schema, features), s.features_first)


def drawing(s: Settings, schema: Schema, shape: Shape) -> DRAW:
    """DRAW; with a partial picture, whose features a convolutional network takes, both networks are told of it."""
    z, hidden, told, sight = s.z or LATENTS, s.lstm, schema.width, None
    if schema.picture is not None:
        seen = (shape[0] + 1, *shape[1:])
        sight = ConvEncoder(seen, told, s.width, s.features, nn.Identity(), s.activation, s.normalise)
        told += s.features
    reader = GlimpseReader(hidden, shape, s.read) if s.attention else PictureReader(shape)
    return DRAW(
        s.glimpses,
        shape,
        reader,
        Memory(told + reader.stays, reader.moves + hidden, hidden),
        GaussianHead(hidden, z),
        ConditionalNormal(told + hidden, z) if s.prior == "learned" else StandardNormal(z),
        Memory(told, z, hidden),
        GlimpseWriter(hidden, shape, s.write) if s.attention else PictureWriter(hidden, shape),
        pixels_of(s, shape),
        sight,
    )


def climbing(s: Settings, schema: Schema, shape: Shape) -> Ladder:
    """The ladder: latents at the sizes that the settings name, from the vector on, elsewhere plain blocks."""
    sizes, told, partial = shrinking(*shape[1:]), schema.width, (shape[0] + 1) * (schema.picture is not None)
    whole = len(s.levels) == len(sizes) or len(sizes) == 2
    read = sizes if whole else sizes[:-1]
    pixels, out = features_of(s, shape)
    z, act = s.z or LATENTS, s.activation
    stacks, grows = [], []
    for place, size in enumerate(read):
        wide = channels(place, len(read), whole, s.width) if place else s.features
        rungs = (s.levels[place] if place < len(s.levels) else 0) - (not place)  # the first is the topmost latents'
        narrow = max(1, wide // 2)
        stacks.append([Rung(wide, narrow, s.maps if place else z, told, size, act) for _ in range(rungs)])
        if place and not rungs:
            stacks[-1] = [Gated(wide, narrow, told, size, act) for _ in range(s.blocks)]
        if not place:
            grows.append(Unfold(wide, channels(1, len(read), whole, s.width), read[1], act))
        elif place < len(read) - 1:
            after = channels(place + 1, len(read), whole, s.width)
            grows.append(Grow(wide, after, read[place + 1], act, 1))
        else:
            # what stands around a pixel an autoregressive layer sees itself, and a wide map is dear to convolve
            kernel = 1 if s.likelihood == "autoregressive" and not whole else 3
            grows.append(Grow(wide, out, None if whole else sizes[-1], act, kernel))
    return Ladder(
        Reader(shape[0] + partial, read, whole, s.width, s.features, s.blocks, told, act),
        prior_of(s, told, shape if partial else None),
        VectorPosterior(s.features, told, z, act),
        Start(z, told, s.features),
        stacks,
        grows,
        pixels,
        Reader(partial, read, whole, s.width, s.features, 0, told, act) if partial else None,
    )


def judged(vae: VAE, s: Settings, schema: Schema, shape: Shape, helpers: bool) -> GAN:
    """The VAE with a critic of its pictures, which only training needs."""
    critic = Critic(shape, schema.width, s.critic_width) if helpers else None
    return GAN(vae, critic, Adversary(s.adversarial, s.matching, s.critic_start, s.critic_rate))


def inferring(vae: VAE, s: Settings, schema: Schema, shape: Shape) -> M2:
    """M2 around the networks of a VAE: the label that the settings name is inferred where it is blank."""
    field = schema.field(str(s.infer))
    assert isinstance(field, Label) and not field.optional
    z, wide, classes = s.z or LATENTS, schema.width, len(field.values)
    shares = torch.tensor(field.shares, dtype=torch.float64)
    prior = ClassPrior(shares, s.class_prior == "learned")
    dense = s.classifier == "dense" or (s.classifier == "auto" and s.network == "mlp")
    classifier: nn.Module
    if dense:
        head = ChoiceHead(s.hidden[-1], classes)
        classifier = DenseEncoder(shape, wide + s.auxiliary, s.hidden, head, s.activation)
    else:
        classifier = ConvClassifier(
            shape, wide + s.auxiliary, classes, s.width, max(1, s.blocks), s.activation, s.normalise
        )
    auxiliary = None
    if s.auxiliary:
        auxiliary = Auxiliary(
            encoder_of(s, shape, wide, s.auxiliary, False), encoder_of(s, shape, wide + z, s.auxiliary, False)
        )
    teacher = s.teacher if s.consistency else 0.0
    reading = Reading(s.classify, s.consistency, s.mixup, s.information, teacher, s.guide)
    guide = DenseClassifier(shape, wide + s.auxiliary, classes, s.hidden, s.activation) if s.guide else None
    return M2(vae, classifier, prior, schema.span(field.name), auxiliary, reading, guide)


def encoder_of(s: Settings, shape: Shape, condition: int, latents: int, partial: bool) -> nn.Module:
    """An encoder of pictures and a condition so wide, to a Normal over so many latents."""
    if s.network == "mlp":
        head = GaussianHead(s.hidden[-1], latents)
        return DenseEncoder(shape, condition, s.hidden, head, s.activation, partial)
    head = GaussianHead(s.features, latents)
    return ConvEncoder(shape, condition, s.width, s.features, head, s.activation, s.normalise, partial)


def assemble(settings: Settings, schema: Schema, shape: Shape, outputs: Schema | None = None) -> VAE:
    """Encoder, prior and decoder for what a schema asks."""
    s, z, condition = settings, settings.z or LATENTS, schema.width
    partial = schema.picture is not None
    if outputs is not None:
        pixels: nn.Module = RowHead(outputs)
        seen = (1, 1, pixels.parameters_wide)
    else:
        pixels, channels = features_of(s, shape)
        seen = (channels, *shape[1:])
    encoder = encoder_of(s, shape, condition + s.auxiliary * (s.infer is not None), z, partial)
    decoder: nn.Module
    if s.network == "mlp":
        width = partial * (shape[0] + 1) * shape[1] * shape[2]
        decoder = DenseDecoder(z, condition, s.hidden[::-1], seen, pixels, s.activation, width)
    else:
        shown = partial * (shape[0] + 1)
        decoder = ConvDecoder(
            z, condition, s.width, s.blocks, s.features, shape, pixels, s.activation, s.normalise, seen[0], shown
        )
    return VAE(encoder, prior_of(s, condition, shape if partial else None), decoder)


def features_of(s: Settings, shape: Shape) -> tuple[nn.Module, int]:
    """The head of the settings' likelihood, and the channels of the feature map that it reads."""
    if s.likelihood == "autoregressive":
        if shape[0] != 1:
            raise Refused(
                "likelihood='autoregressive' is for grey pictures, got colour ones; use 'gaussian' or 'logistic'"
            )
        return AutoregressiveHead(s.head_features, blind=s.blind, layers=s.context), s.head_features
    if s.likelihood == "logistic-mixture":
        head = LogisticMixtureHead(shape[0], s.logistics)
        return head, head.features
    return pixels_of(s, shape), shape[0]


def pixels_of(s: Settings, shape: Shape) -> nn.Module:
    """The head of the settings' likelihood, whose features are as wide as the picture."""
    if s.likelihood == "perceptual":
        return PerceptualHead(shape[0], s.layers, s.perceptual_weight)
    return pixel_head(s.likelihood, shape[0], s.sigma)


def prior_of(s: Settings, condition: int, partial: Shape | None = None) -> nn.Module:
    """The prior head that the settings name; where a partial picture of shape [C, H, W] is given, one that reads it."""
    z = s.z or LATENTS
    if partial is not None:
        return SeenPrior(encoder_of(s, (partial[0] + 1, *partial[1:]), condition, z, False))
    if s.prior == "mixture":
        return ConditionalMixture(condition, z, s.components)
    return ConditionalNormal(condition, z) if s.prior == "learned" and condition else StandardNormal(z)


def centre(model: VAE | GAN | M2 | Stack | DRAW | Ladder, mean: float, likelihood: str) -> None:
    """Let a convolutional decoder, or a canvas, begin at the mean pixel of the data, in [0, 1]: it need not find the
    ground first."""
    start = None
    if isinstance(model, DRAW):
        start = model.canvas
    elif isinstance(model, Ladder):
        start = model.last.bias
    elif isinstance(model.decoder, ConvDecoder):
        start = model.decoder.last.bias
    if start is not None and likelihood in ("bernoulli", "gaussian", "logistic", "perceptual"):
        level = min(max(mean, 0.01), 0.99)
        with torch.no_grad():
            start.fill_(math.log(level / (1 - level)) if likelihood in ("bernoulli", "perceptual") else level)
