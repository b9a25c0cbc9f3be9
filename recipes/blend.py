"""Blends two states of a network: `python -m recipes.blend BEFORE AFTER --share 0.8 --out runs/blend`.

Training on for something new takes a little of what a network knew. The weighted mean of its weights before and after
gives most of that back and keeps most of what was gained (Wortsman et al., arXiv 2109.01903): a start for a last stage.
"""

import argparse
from pathlib import Path

from keras_rednet import weights
from keras_rednet.photos import named_network
from recipes.train import commit, origin


def blend(before, after, share):
    """Returns a network with the weighted mean of the weights of two, and its record, in which nothing is validated.

    Args:
        before: weights of a network: the name of shipped ones, or the path of a run's `weights.npz`.
        after: weights that were trained from those, named likewise.
        share: of `after`, from 0 to 1.

    Returns:
        (keras.Model, dict).

    Raises:
        ValueError: there are no such weights, they are of different networks, or `share` is out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must be from 0 to 1. Received: share={share!r}.")
    (first, first_record), (second, record) = named_network(before), named_network(after)
    shapes = [[array.shape for array in model.get_weights()] for model in (first, second)]
    recipes = [entry["recipe"] for entry in (first_record, record)]
    wirings = [(recipe["downsample_at"], recipe.get("architecture")) for recipe in recipes]
    if shapes[0] != shapes[1] or wirings[0] != wirings[1]:
        raise ValueError(f"`before` and `after` must be of the same network. Received: {before} and {after}.")
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    second.set_weights([(1 - share) * a + share * b for a, b in pairs])
    blended = {"before": origin(before, of_these_bytes=True), "after": origin(after, of_these_bytes=True)}
    return second, record | {"commit": commit(), "validation_psnr": {}, "blended": blended | {"share": share}}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.blend", description=__doc__.splitlines()[0])
    parser.add_argument("before", metavar="BEFORE", help="shipped weights by name, or a run's weights.npz")
    parser.add_argument("after", metavar="AFTER", help="weights that were trained from those")
    parser.add_argument("--share", type=float, default=0.8, metavar="NUMBER", help="of AFTER, 0 to 1 (default: 0.8)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for weights.npz and its record")
    options = parser.parse_args(arguments)
    if (options.out / "weights.npz").exists():
        parser.error(f"{options.out / 'weights.npz'} is there already: choose another folder.")
    network, record = blend(options.before, options.after, options.share)
    options.out.mkdir(parents=True, exist_ok=True)
    weights.save(network, options.out / "weights.npz", record)


if __name__ == "__main__":
    main()
