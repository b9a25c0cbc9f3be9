"""Contact sheets: pictures side by side, to judge by eye what numbers say.

    python -m recipes.contact PHOTO sheet.png

shows a photograph under every corruption of the experiments and those with which the blind networks are trained.
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_rednet import dataset
from keras_rednet.weights import written_whole
from recipes import deblock, denoise, inpaint, super_resolution
from recipes.experiments import EXPERIMENTS

SIDE = 256  # pixels of a picture that are shown, from its middle
TITLE = 20  # pixels


def picture(image):
    """Returns float [h, w, 1|3] in [0, 1] as a PIL image, clipped and rounded."""
    pixels = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def sheet(rows):
    """Returns a PIL image of pictures in rows, each cut to its middle and titled.

    Args:
        rows: {title of a row: {title of a picture: float [h, w, 1|3] in [0, 1]}}; rows may differ in length.
    """
    width = max(len(row) for row in rows.values())
    page = Image.new("RGB", (width * (SIDE + 4), len(rows) * (SIDE + TITLE)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for y, (row_title, row) in enumerate(rows.items()):
        for x, (title, image) in enumerate(row.items()):
            place = x * (SIDE + 4), y * (SIDE + TITLE)
            pen.text((place[0] + 2, place[1] + 3), f"{row_title}: {title}" if not x else title, "black", font)
            page.paste(picture(dataset.middle(image, SIDE)), (place[0], place[1] + TITLE))
    return page


def corruptions(photo):
    """Returns the rows of a `sheet` for float [h, w, 3]: a row per task, a picture per corruption."""
    rows = {}
    for run in EXPERIMENTS:
        rows.setdefault(run.task, {"clean": photo})[run.level] = run.corruption(photo, (0, 1)).numpy()
    for recipe in (denoise.BLIND, super_resolution.BLIND, deblock.BLIND, inpaint.TEXT):
        rows[recipe.task][f"{recipe.level}, as trained"] = recipe.corruption(photo, (0, 2)).numpy()
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.contact", description=__doc__.splitlines()[0])
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("output", metavar="SHEET", help="a .png")
    options = parser.parse_args(arguments)
    photo = dataset.read_image(options.photo).astype(np.float32) / 255
    with written_whole(options.output) as path:
        sheet(corruptions(photo)).save(path, "PNG")


if __name__ == "__main__":
    main()
