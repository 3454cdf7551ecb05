"""What is said of drawings beside real images: whether they are blurry, leave out what is real, or are copies."""

from __future__ import annotations

from condvae.findings import Manifolds, Nearness, Sharpness

__all__ = ["about_copies", "about_recall", "about_sharpness"]

BLURRY, NOISY = 0.7, 1.3  # sharpness, real = 1: outside, drawings are said to be blurry or noisy
MISSED, MISSED_OF = 0.3, 0.5  # recall, and recall beside that of real training images, below which much is missed
COPIED = 0.5  # of real images' distance to training images: below it drawings are near copies


def about_sharpness(found: Sharpness | None, redraw: str, judged: bool = True) -> list[str]:
    """Whether drawings are far less sharp, or far noisier, than real images; judged: if it can have a critic."""
    if found is None or BLURRY <= found.ratio <= NOISY:
        return []
    told = f"the energy of their gradients is {found.text()} of that of real images"
    if found.ratio < BLURRY:
        critic = "with a critic (adversarial 1), " if judged else ""
        return [
            f"The drawings are blurry: {told}. Train with a calibrated likelihood (gaussian, sigma optimal), on deep "
            f"features (likelihood perceptual), {critic}or longer (epochs)."
        ]
    return [f"The drawings are noisier than real images: {told}. Train longer (epochs), or {redraw}."]


def about_recall(found: Manifolds | None, redraw: str) -> list[str]:
    """Whether much of what real images show is never drawn."""
    if found is None:
        return []
    real = found.real_recall
    if found.recall.share >= (MISSED if real is None else MISSED_OF * real.share):
        return []
    beside = "" if real is None else f", of real training images {100 * real.share:.1f} %"
    told = f"{found.recall.text()} of the real images lie among the drawings{beside}"
    if found.precision.share < found.recall.share:
        return [f"The drawings are not like real images: {told}. Train longer (epochs), or {redraw}."]
    return [
        f"Modes are missed: {told}. Use more latents (z), free_bits or a lower beta, train longer (epochs); draw at "
        "temperature 1."
    ]


def about_copies(found: Nearness | None) -> list[str]:
    """Whether drawings are near copies of training images."""
    if found is None or found.ratio >= COPIED:
        return []
    return [
        f"The drawings may be copies: to the nearest training image their distance is {found.drawn:.2f}, that of real "
        f"images {found.real:.2f}. Train on more images, for fewer epochs, or with fewer latents (z)."
    ]
