"""From settings to a model: which networks and heads are handed to which class."""

from __future__ import annotations

import math

import torch
from torch import nn

from condvae.autoregressive import FEATURES, AutoregressiveHead
from condvae.conditions import Schema
from condvae.errors import Refused
from condvae.heads import GaussianHead, pixel_head
from condvae.models.base import Objective
from condvae.models.vae import VAE
from condvae.nets import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder, Shape
from condvae.priors import ConditionalMixture, ConditionalNormal, StandardNormal
from condvae.settings import Settings

LATENTS = 32  # where the settings have no say


def build(settings: Settings, schema: Schema, shape: Shape) -> VAE:
    """The model of these settings for pictures of `shape` [C, H, W]; its weights drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = assemble(settings, schema.width, shape)
    model.objective = Objective(
        settings.beta, settings.warm_up, settings.free_bits, settings.samples, settings.importance
    )
    return model.eval()


def assemble(settings: Settings, condition: int, shape: Shape) -> VAE:
    """Encoder, prior and decoder for a condition `condition` wide."""
    s, z = settings, settings.z or LATENTS
    if s.likelihood == "autoregressive":
        if shape[0] != 1:
            raise Refused(
                "likelihood='autoregressive' is for grey pictures, got colour ones; use 'gaussian' or 'logistic'"
            )
        pixels: nn.Module = AutoregressiveHead(FEATURES, blind=s.blind)
        seen = (FEATURES, *shape[1:])
    else:
        pixels, seen = pixel_head(s.likelihood, shape[0], s.sigma), shape
    encoder: nn.Module
    decoder: nn.Module
    if s.network == "mlp":
        latent = GaussianHead(s.hidden[-1], z)
        encoder = DenseEncoder(shape, condition, s.hidden, latent, s.activation)
        decoder = DenseDecoder(z, condition, s.hidden[::-1], seen, pixels, s.activation)
    else:
        latent = GaussianHead(s.features, z)
        encoder = ConvEncoder(shape, condition, s.width, s.features, latent, s.activation, s.normalise)
        decoder = ConvDecoder(
            z, condition, s.width, s.blocks, s.features, shape, pixels, s.activation, s.normalise, seen[0]
        )
    return VAE(encoder, prior_of(s, condition), decoder)


def prior_of(s: Settings, condition: int) -> nn.Module:
    """The prior head that the settings name."""
    z = s.z or LATENTS
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
