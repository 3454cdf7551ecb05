"""From settings to a model: which networks and heads are handed to which class."""

from __future__ import annotations

import math

import torch
from torch import nn

from condvae.autoregressive import FEATURES, AutoregressiveHead
from condvae.conditions import Schema
from condvae.convs import ConvDecoder, ConvEncoder
from condvae.errors import Refused
from condvae.heads import GaussianHead, pixel_head
from condvae.models.base import Objective
from condvae.models.vae import VAE
from condvae.nets import DenseDecoder, DenseEncoder, Shape
from condvae.priors import ConditionalMixture, ConditionalNormal, SeenPrior, StandardNormal
from condvae.rows import RowHead
from condvae.settings import Settings

LATENTS = 32  # where the settings have no say


def build(settings: Settings, schema: Schema, shape: Shape, outputs: Schema | None = None) -> VAE:
    """The model of these settings for pictures of `shape` [C, H, W]; its weights drawn from the seed alone.

    outputs: the fields of generated table rows, which then take the place of pixels; shape is [1, 1, W].
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = assemble(settings, schema, shape, outputs)
    model.objective = Objective(
        settings.beta, settings.warm_up, settings.free_bits, settings.samples, settings.importance
    )
    return model.eval()


def assemble(settings: Settings, schema: Schema, shape: Shape, outputs: Schema | None = None) -> VAE:
    """Encoder, prior and decoder for what a schema asks."""
    s, z, condition = settings, settings.z or LATENTS, schema.width
    partial = schema.picture is not None
    if outputs is not None:
        pixels: nn.Module = RowHead(outputs)
        seen = (1, 1, pixels.parameters_wide)
    elif s.likelihood == "autoregressive":
        if shape[0] != 1:
            raise Refused(
                "likelihood='autoregressive' is for grey pictures, got colour ones; use 'gaussian' or 'logistic'"
            )
        pixels = AutoregressiveHead(FEATURES, blind=s.blind)
        seen = (FEATURES, *shape[1:])
    else:
        pixels, seen = pixel_head(s.likelihood, shape[0], s.sigma), shape
    encoder: nn.Module
    decoder: nn.Module
    if s.network == "mlp":
        latent = GaussianHead(s.hidden[-1], z)
        encoder = DenseEncoder(shape, condition, s.hidden, latent, s.activation, partial)
        width = partial * (shape[0] + 1) * shape[1] * shape[2]
        decoder = DenseDecoder(z, condition, s.hidden[::-1], seen, pixels, s.activation, width)
    else:
        latent = GaussianHead(s.features, z)
        encoder = ConvEncoder(shape, condition, s.width, s.features, latent, s.activation, s.normalise, partial)
        channels = partial * (shape[0] + 1)
        decoder = ConvDecoder(
            z, condition, s.width, s.blocks, s.features, shape, pixels, s.activation, s.normalise, seen[0], channels
        )
    return VAE(encoder, prior_of(s, condition, shape if partial else None), decoder)


def prior_of(s: Settings, condition: int, partial: Shape | None = None) -> nn.Module:
    """The prior head that the settings name; where a partial picture of shape [C, H, W] is given, one that reads it."""
    z = s.z or LATENTS
    if partial is not None:
        told = (partial[0] + 1, *partial[1:])
        if s.network == "mlp":
            return SeenPrior(DenseEncoder(told, condition, s.hidden, GaussianHead(s.hidden[-1], z), s.activation))
        head = GaussianHead(s.features, z)
        return SeenPrior(ConvEncoder(told, condition, s.width, s.features, head, s.activation, s.normalise))
    if s.prior == "mixture":
        return ConditionalMixture(condition, z, s.components)
    return ConditionalNormal(condition, z) if s.prior == "learned" and condition else StandardNormal(z)


def centre(model: VAE, mean: float, likelihood: str) -> None:
    """Let a convolutional decoder begin at the mean pixel of the data, in [0, 1]: it need not find the ground first."""
    decoder = model.decoder
    if isinstance(decoder, ConvDecoder) and likelihood in ("bernoulli", "gaussian", "logistic"):
        level = min(max(mean, 0.01), 0.99)
        bias = decoder.last.bias
        assert bias is not None
        with torch.no_grad():
            bias.fill_(math.log(level / (1 - level)) if likelihood == "bernoulli" else level)
