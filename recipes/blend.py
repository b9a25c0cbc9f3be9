"""Blends two states of a network: `python -m recipes.blend BEFORE AFTER --share 0.8 --data DATA --out runs/blend`.

Training on for something new takes a little of what a network knew. The weighted mean of its weights before and after
gives some of that back, and takes some of what was gained (Wortsman et al., arXiv 2109.01903; recipes/denoise.py tells
how much). `recipes.ship` takes it as it takes a run, or a run goes on from it. DATA are the folders of AFTER's
training, whose validation images score it.
"""

import argparse
from pathlib import Path

from keras_rednet import weights
from keras_rednet.photos import named_network
from recipes import train
from recipes.recipe import NETWORK, stem

SHIPPED = ("network", "version", "licence")  # what recipes.ship adds to a record
SAME = ("task", "channels", "color", "downsample_at", "architecture")


def blend(before, after, share, data):
    """Returns a network with the weighted mean of the weights of two, and its record.

    Args:
        before: weights of a network: the name of shipped ones, or the path of a run's `weights.npz`.
        after: weights that were trained from those, named likewise.
        share: of `after`, from 0 to 1.
        data: folders of the training of `after`, of which the same images validate.

    Returns:
        (keras.Model, dict).

    Raises:
        ValueError: there are no such weights, they are of different networks or of one without a recipe, `share` is
            out of range, or `data` is other images.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must be from 0 to 1. Received: share={share!r}.")
    (first, first_record), (network, record) = named_network(before), named_network(after)
    shapes = [[array.shape for array in model.get_weights()] for model in (first, network)]
    same = [[entry["recipe"].get(key) for key in SAME] for entry in (first_record, record)]
    if shapes[0] != shapes[1] or same[0] != same[1]:
        raise ValueError(f"`before` and `after` must be of the same network. Received: {before} and {after}.")
    name = stem({key: record["recipe"][key] for key in NETWORK})
    if name not in train.RECIPES:
        raise ValueError(f"Networks must be of a recipe, whose validation scores them. Received: {name}.")
    recipe = train.RECIPES[name]
    images = train.validation_images(data, record, recipe.color)
    pairs = zip(first.get_weights(), network.get_weights(), strict=True)
    network.set_weights([(1 - share) * a + share * b for a, b in pairs])
    blended = {"before": train.origin(before, of_these_bytes=True), "after": train.origin(after, of_these_bytes=True)}
    return network, {key: value for key, value in record.items() if key not in SHIPPED} | {
        "recipe": record["recipe"] | {"validation": train.described_validation(recipe)},
        "commit": train.commits(record["commit"], train.commit()),
        "blended": blended | {"share": share},
        "validation_protocol": train.protocol(images),
        "validation_psnr": train.scores(network, images, recipe, recipe.validation),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.blend", description=__doc__.splitlines()[0])
    parser.add_argument("before", metavar="BEFORE", help="shipped weights by name, or a run's weights.npz")
    parser.add_argument("after", metavar="AFTER", help="weights that were trained from those")
    parser.add_argument("--share", type=float, default=0.8, metavar="NUMBER", help="of AFTER, 0 to 1 (default: 0.8)")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER", help="folders of AFTER's training")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for weights.npz and its record")
    options = parser.parse_args(arguments)
    if (options.out / "weights.npz").exists():
        parser.error(f"{options.out / 'weights.npz'} is there already: choose another folder.")
    network, record = blend(options.before, options.after, options.share, options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    weights.save(network, options.out / "weights.npz", record)
    print("  ".join(f"{name} {psnr:.2f} dB" for name, psnr in record["validation_psnr"].items()))


if __name__ == "__main__":
    main()
