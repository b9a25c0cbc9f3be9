"""Ships the weights of a training run with the package: `python -m recipes.ship runs/gray`.

Copies the run's best weights to keras_rednet/pretrained under the name that their recipe gives them, and their record
into weights.json. A network that is shipped already becomes the next version, if it is better on the validation images.
One for a single level must be better there than the blind one, too, by a margin that is worth a file. Where a shipped
one was not validated under all corruptions that the run was, `--data`, the folders of the training, scores it anew.
"""

import argparse
import hashlib
import json
from pathlib import Path

from keras_rednet import weights
from recipes import train
from recipes.evaluate import network as shipped_network
from recipes.recipe import NETWORK, stem

MARGIN = 0.03  # dB
LICENCE = "MIT; of the training images BSDS500 is offered for non-commercial research, T91 without a licence"
T91 = {f"t{number}.bmp" for number in range(1, 92)}  # of which a run with large patches leaves out the smallest


def ship(run, data=None):
    """Ships the weights in the folder of a run and returns their name.

    Args:
        run: the folder.
        data: folders of the training, needed only where a shipped network was validated on other corruptions than the
            run.

    Raises:
        ValueError: the shipped weights of the same network have at least this mean validation PSNR, or were validated
            on more, or the blind ones come within 0.03 dB of it, or either on other images; the run's file and record
            do not match; it trained another network than RED10, RED20 or RED30, on other images than those that the
            licence names, or from source that was not committed.
    """
    run = Path(run)
    record = weights.read_record(run / "weights.npz")
    content = (run / "weights.npz").read_bytes()
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"{run / 'weights.npz'} and its record do not belong together: is the run still writing?")
    recipe = record["recipe"]
    if recipe.get("architecture"):
        raise ValueError(f"Only RED10, RED20 and RED30 are shipped. Received: {recipe['architecture']}.")
    network = {key: recipe[key] for key in NETWORK}
    shipped = weights.records()
    _check_origin(record, shipped)
    names = {json.dumps(other["network"], sort_keys=True): name for name, other in shipped.items()}
    before = names.get(json.dumps(network, sort_keys=True))
    blind = names.get(json.dumps(network | {"level": "blind"}, sort_keys=True))
    if before:
        if missing := shipped[before]["validation_psnr"].keys() - record["validation_psnr"].keys():
            raise ValueError(
                f"The run must have been validated on all that {before} was. Missing: {', '.join(sorted(missing))}."
            )
        _check_better(record, before, shipped[before], 0, data)
    if blind and not isinstance(network["level"], str):  # "jpeg" is no strength of what the blind one is for
        _check_better(record, blind, shipped[blind], MARGIN, data)
    if weights.records() != shipped:
        raise ValueError("Other weights were shipped meanwhile: ship these again, if they are better than those, too.")
    version = 1 + shipped.pop(before)["version"] if before else 1
    name = f"{stem(network)}-v{version}"
    shipped[name] = {"network": network, "version": version, "licence": LICENCE, **record}
    with weights.written_whole(weights.PRETRAINED / f"{name}.npz") as path:
        path.write_bytes(content)
    with weights.written_whole(weights.PRETRAINED / "weights.json") as path:
        path.write_text(_json(dict(sorted(shipped.items()))))
    if before:
        (weights.PRETRAINED / f"{before}.npz").unlink()
    return name


def _check_origin(record, shipped):
    """Raises an error unless a run can be repeated, and saw what shipped networks saw, whose licence it gets."""
    if "-dirty" in record["commit"] or "unknown" in record["commit"]:  # of any part of a run that was resumed
        raise ValueError(f"A run must be of a commit, so that it can be repeated. Received: {record['commit']}.")
    images = record["training_images"]
    images = {images} if isinstance(images, str) else set(images)  # the name of a data set, or those of files
    if both := images & set(record["validation_images"]):
        raise ValueError(f"A network must not train on its validation images. Received: {', '.join(sorted(both))}.")
    known = {name for other in shipped.values() for name in other["training_images"] + other["validation_images"]}
    if known and (strange := images - known - T91):
        raise ValueError(
            f"The licence, {LICENCE!r}, says nothing of other images. Received: {', '.join(sorted(strange)[:5])}..."
        )


def _check_better(record, name, shipped, margin, data):
    """Raises an error unless the mean validation PSNR of a run is higher than that of a shipped network."""
    old, new = shipped["validation_psnr"], record["validation_psnr"]
    corruptions = [entry["recipe"]["validation"] for entry in (shipped, record)]
    protocols = [entry["validation_protocol"] for entry in (shipped, record)]
    if protocols[0] != protocols[1]:
        raise ValueError(
            f"The run must have been validated as {name} was: {protocols[0]}. Received: {protocols[1]}; train with the "
            "same --data."
        )
    if any(corruptions[0].get(key) != corruptions[1][key] for key in new):
        old = _validated(name, record, data)
    needed, reached = (sum(scores[key] for key in new) / len(new) for scores in (old, new))
    if reached <= needed + margin:
        raise ValueError(
            f"{name} is as good on the validation images ({', '.join(sorted(new))}): expected more than "
            f"{needed + margin:.3f} dB. Received: {reached:.3f} dB."
        )


def _validated(name, record, data):
    """Returns the PSNR of shipped weights on what the weights of a record were validated on, by corruption."""
    if not data:
        raise ValueError(
            f"{name} was validated on other corruptions: score it anew with --data FOLDER..., as training."
        )
    recipe = train.RECIPES[stem({key: record["recipe"][key] for key in NETWORK})]
    ours, its = train.described_validation(recipe), record["recipe"]["validation"]
    if changed := [key for key in record["validation_psnr"] if ours.get(key) != its[key]]:
        raise ValueError(
            f"The run was validated on {its[changed[0]]} ({changed[0]}), which the recipe's validation is no longer: "
            f"{name} cannot be compared. Ship it from the commit that it was trained with."
        )
    images = train.validation_images(data, record, recipe.color)
    return train.scores(shipped_network(name), images, recipe, record["validation_psnr"])


def _json(records):
    """One line per entry of a record: readable, and a list of images is no page."""
    blocks = []
    for name, record in records.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.ship", description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN", help="the folder of a training run")
    parser.add_argument(
        "--data", nargs="+", metavar="FOLDER", help="of its training: to score the shipped network anew"
    )
    options = parser.parse_args(arguments)
    print(ship(options.run, options.data))


if __name__ == "__main__":
    main()
