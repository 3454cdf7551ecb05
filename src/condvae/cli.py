"""The command line: one command a request, nothing else. What a command does lives in `condvae.studio` and `jobs`.

torch takes seconds to import, so everything heavy is imported inside the commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from condvae.card_command import card
from condvae.draw_command import draw
from condvae.process import Out, Plain, Words, outcome, show, tune
from condvae.serve_command import serve
from condvae.walk_commands import components, interpolate, plane, traverse

__all__ = ["app", "main"]

HELP = """Train a conditional variational autoencoder on labelled images, ask it for a label, measure what comes.

First steps: `condvae train digits`, then `condvae generate runs/digits digit=6 -n 64 -o six.png`."""

TRAIN_HELP = "Train a model on DATA, or go on with a training that was interrupted (--resume RUN)."

FEATURES_HELP = "Train a network whose features a model may compare pictures by (train --likelihood perceptual)."

app = App(
    name="condvae", help=HELP, help_format="plaintext", version=lambda: _version(), suppress_keyboard_interrupt=False
)


def _version() -> str:
    from importlib.metadata import version

    return version("condvae")


# The flags of train are made from the settings, whose model takes longer to import than all the rest.
app.command("condvae.train_command:train", name="train", help=TRAIN_HELP)
app.command("condvae.features_command:train_features", name="train-features", help=FEATURES_HELP)


@app.command
def generate(
    run: str,
    /,
    *asked: str,
    n: Annotated[int, Parameter(alias="-n")] = 64,
    out: Out = None,
    npz: str | None = None,
    seed: int = 0,
    temperature: str = "1",
    prior: str | None = None,
    guidance: float = 1.0,
) -> None:
    """Draw pictures, or rows of a table, of what is asked, such as digit=6 or digit=6,7, or age=20,40 smiling=yes.

    Args:
        run: a run folder.
        asked: FIELD=VALUE[,VALUE...]; of several fields every combination is drawn; `digit=?` = unknown.
        n: pictures, or rows, of each combination.
        out: the picture to write (.png, .jpg, ...), or the arrays (.npz); of a table the rows (.csv, .parquet, .npz),
            the first of which are shown without it.
        npz: the arrays to write beside it.
        seed: picture i depends on (seed, i) alone.
        temperature: scales the noise, 0 = the mean; of several latents one for each, such as 1,0.9,0.7, or one for all.
        prior: fitted (the density fitted to the latents), flow (a flow fitted to them) or model (the model's own).
        guidance: above 1, what is asked is pressed further than it was learnt, for runs trained with blanks.
    """
    from condvae import studio

    show(studio.generate(run, asked, n, out, npz, seed, temperature, prior, guidance))


@app.command
def fill(
    run: str,
    image: str,
    /,
    *,
    mask: str | None = None,
    hole: str | None = None,
    n: Annotated[int, Parameter(alias="-n")] = 5,
    given: Words = None,
    out: Out = None,
    seed: int = 0,
    temperature: str = "1",
    prior: str | None = None,
    pairs: Plain = False,
) -> None:
    """Fill in what is hidden of a picture, several ways.

    Without --mask and --hole the transparent parts of the picture are the hole.

    Args:
        run: a run folder, of a model that was trained to fill holes.
        image: an image file.
        mask: an image file: white is the hole.
        hole: X,Y,W,H: a box in pixels of the model's pictures, X and Y from the top left corner.
        n: completions.
        given: what is known of the picture, FIELD=VALUE.
        out: the picture to write, the original first; or the arrays (.npz).
        seed: completion i depends on (seed, i) alone.
        temperature: scales the noise, 0 = the mean; of several latents one for each, such as 1,0.9,0.7, or one for all.
        prior: fitted, flow or model, as in generate.
        pairs: show each completion beside the original.
    """
    from condvae import hands

    show(hands.fill(run, image, mask, hole, n, out, given or (), seed, temperature, prior, pairs))


@app.command
def impute(
    run: str,
    table: str,
    /,
    *,
    out: Out = None,
    seed: int = 0,
    prior: str | None = None,
) -> None:
    """Fill the blanks of a table by draws given the known cells of their rows.

    Args:
        run: a run folder, of a model that generates rows of a table.
        table: .csv, .tsv or .parquet; columns that the run generates may have blanks.
        out: the table to write (.csv, .tsv, .parquet, .npz); without it the first rows are shown.
        seed: row i depends on (seed, i) alone.
        prior: fitted, flow or model, as in generate.
    """
    from condvae import table_studio

    show(table_studio.impute(run, table, out, seed, prior))


@app.command
def write(
    run: str,
    text: str,
    /,
    *,
    style: str | None = None,
    given: Words = None,
    out: Out = None,
    seed: int = 0,
    field: str | None = None,
    sketched: Plain = False,
) -> None:
    """Write a line of text in one handwriting, such as 31415.

    Args:
        run: a run folder whose labels are characters.
        text: what to write; spaces are gaps.
        style: an image file whose hand is taken; without it each seed is a hand.
        given: what that image shows, FIELD=VALUE; else the model reads it.
        out: the picture to write, or the arrays (.npz).
        seed: the hand, where no image gives one.
        field: the label that holds the characters, where there are several.
        sketched: the image is a drawing by hand: inverted, scaled and centred as the model's own pictures are.
    """
    from condvae import hands

    show(hands.write(run, text, style, given or (), out, seed, field, sketched))


@app.command
def reconstruct(
    run: str,
    what: str,
    /,
    *,
    given: Words = None,
    out: Out = None,
    data_dir: str | None = None,
    limit: int | None = None,
) -> None:
    """Pictures as the model sees them: through its latents and back.

    Args:
        run: a run folder.
        what: an image file, or DATA.
        given: what is known of the pictures, FIELD=VALUE.
        out: the picture to write, the real ones above; or the arrays (.npz).
        data_dir: a folder that holds the data's files.
        limit: the first so many pictures of DATA; by default 36, and all in an npz.
    """
    from condvae import studio

    show(studio.reconstruct(run, what, given or (), out, data_dir, limit))


@app.command
def restyle(
    run: str,
    what: str,
    /,
    *,
    given: Words = None,
    to: Words = None,
    out: Out = None,
    data_dir: str | None = None,
    limit: int | None = None,
    sketched: Plain = False,
) -> None:
    """Pictures in their own style under other labels: one handwriting through all ten digits.

    Args:
        run: a run folder.
        what: an image file, or DATA.
        given: what is known of the pictures, FIELD=VALUE; what is not is read by the model.
        to: the labels to go to, FIELD=VALUE[,VALUE...]; by default all.
        out: the picture to write, or the arrays (.npz).
        data_dir: a folder that holds the data's files.
        limit: the first so many pictures of DATA; by default 12.
        sketched: the image is a drawing by hand: inverted, scaled and centred as the model's own pictures are.
    """
    from condvae import studio

    show(studio.restyle(run, what, given or (), to or (), out, data_dir, limit, sketched))


for command in (card, draw, interpolate, traverse, plane, components, serve):
    app.command(command)


@app.command
def classify(
    run: str,
    what: str,
    /,
    *,
    field: str | None = None,
    given: Words = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    data_dir: str | None = None,
    limit: int | None = None,
    sketched: Plain = False,
) -> None:
    """Read the label of pictures with the model itself, by Bayes' rule on the bound.

    Args:
        run: a run folder.
        what: an image file, or DATA.
        field: which field to read, where there are several.
        given: what is known of the other fields, FIELD=VALUE.
        as_json: names and probabilities of every picture, as JSON.
        data_dir: a folder that holds the data's files.
        limit: the first so many pictures of DATA; by default all.
        sketched: the image is a drawing by hand: inverted, scaled and centred as the model's own pictures are.
    """
    from condvae import studio
    from condvae.progress import counter

    show(studio.classify(run, what, field, given or (), data_dir, limit, counter("reading"), sketched), as_json)


@app.command
def embed(
    run: str,
    data: str,
    /,
    *,
    method: str = "pca",
    perplexity: float | None = None,
    field: str | None = None,
    thumbnails: Plain = False,
    given: Words = None,
    out: Out = None,
    data_dir: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> None:
    """Where pictures lie among the model's latents: a map, or the numbers.

    Args:
        run: a run folder.
        data: DATA, or an image file, or "drawings": the model's own, of each label equally many.
        method: pca or tsne.
        perplexity: of tsne, about how many neighbours a point heeds; by default 30, less for few pictures.
        field: the label or number that colours the map; by default the first label, else the first number.
        thumbnails: draw the pictures on the map.
        given: what is known of the pictures, FIELD=VALUE.
        out: the map to write (.png, ...), or the numbers (.npz, .csv).
        data_dir: a folder that holds the data's files.
        limit: the first so many pictures; by default 10,000, for tsne 2,000, of drawings 500.
        seed: of tsne, and of drawings.
    """
    from condvae import studio

    show(studio.embed(run, data, method, out, data_dir, limit, seed, given or (), perplexity, field, thumbnails))


@app.command
def evaluate(
    run: str,
    /,
    *,
    data: str | None = None,
    k: int | None = None,
    limit: int | None = None,
    temperature: str = "1",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    data_dir: str | None = None,
    quiet: Plain = False,
    leave_out: Words = None,
    unknown: str | None = None,
) -> None:
    """Measure a run: bound, likelihood, obedience by an independent judge, diversity, collapse; and say it in words.

    Begun again after an interruption, it goes on with the images that were not weighed yet.

    Args:
        run: a run folder.
        data: DATA to measure on; by default the test part of what the run was trained on.
        k: importance samples an image.
        limit: images whose likelihood is measured; 0 = all.
        temperature: of the drawings, as in generate; to choose one, use other images (condvae.warmth in Python).
        as_json: everything that was measured, as JSON.
        data_dir: a folder that holds the data's files.
        quiet: show no progress.
        leave_out: FIELD[,FIELD...] or all: measure as if these were not known of the images; of all, p(x).
        unknown: what the likelihood does with what is not known: sum over its values, or blank, the input that training
            saw where it was left out; by default blank where there is one.
    """
    from condvae import jobs

    show(jobs.evaluate(run, data, k, limit, data_dir, quiet or as_json, temperature, leave_out or (), unknown), as_json)


@app.command
def reproduce(
    recipe: str,
    /,
    *,
    variant: str | None = None,
    seed: int = 0,
    out: Out = None,
    data_dir: str | None = None,
    overwrite: Plain = False,
    quiet: Plain = False,
) -> None:
    """Run a published experiment as it was published, and set its numbers beside ours.

    Begun again after an interruption, it goes on where it stopped.

    Args:
        recipe: its name (see `condvae recipes`).
        variant: one of the recipe's variants; by default the first.
        seed: of everything random.
        out: the run's folder; by default runs/RECIPE-seedS.
        data_dir: a folder that holds the data's files.
        overwrite: begin anew in a folder that is not empty.
        quiet: show no bar and no words.
    """
    from condvae import jobs

    show(jobs.reproduce(recipe, variant, seed, out, data_dir, overwrite, quiet))


@app.command
def recipes() -> None:
    """List the recipes."""
    from condvae import jobs

    show(jobs.list_recipes())


@app.command
def data(*, data_dir: str | None = None) -> None:
    """List the named data and where each is found.

    Args:
        data_dir: a folder to look in.
    """
    from condvae import jobs

    show(jobs.list_data(data_dir))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0, 1 for a failure, 2 for input that cannot be used, 130 for Ctrl-C."""
    if argv is None:
        tune()
    tokens = list(sys.argv[1:] if argv is None else argv)
    return outcome(
        lambda: app(tokens, exit_on_error=False, print_error=False, result_action="return_value"), os.environ
    )
