"""Searches the training images for copies of test images: `python -m recipes.leaks --data DATASETS`.

DATASETS holds the folders TRAINING and TESTS. A test on a photograph that was trained on is worth nothing; train.py
leaves out those that were found (TEST_IMAGES). They are searched here all the same: to find them is the proof.

The central square of each image, in eight orientations, is laid over each image of the other kind, everywhere and at
sizes from all of its short side to a fifth of it. What counts is normalised cross-correlation: first of squares of
16x16 pixels; where these agree well, of 64x64, with place and size refined. Broad shading is taken out before (see
`details`): with a sky above a ground most photographs look alike.

So it finds a copy that is cropped, rescaled, mirrored, turned by 90 degrees, gray, compressed or brightened. It does
not find two crops of which neither holds the other's central square, a crop of less than a quarter of the other's
short side, a copy that is turned by another angle, stretched by more than a few percent, seen from another place or
edited heavily, nor a picture without detail. Copies score 0.9 to 1 (the worst of 200 made for a trial 0.77); one edge
between two flat areas resembles many others, up to 0.8.

291 training and 456 test images take 11 minutes on one core (set OPENBLAS_NUM_THREADS=1 where others use the cores).
All pairs that score REPORTED or more go to recipes/results/leaks.csv: `scale` is the number of pixels of the training
image per pixel of the test image, `orientation` the one that turns the test image into the training image (see
keras_rednet/geometry.py).
"""

import argparse
import functools
import itertools
import math
from pathlib import Path

import numpy as np
from PIL import Image

from keras_rednet import dataset, geometry
from recipes import csv_table

RESULT = Path(__file__).parent / "results" / "leaks.csv"
TRAINING = ("bsds500/train", "t91")
TESTS = (
    *("set5", "set14", "set12", "bsd68", "live1", "classic5"),
    *("bsds500/val", "bsds500/test", "denoise_ncsr12", "denoise_bm3d11"),
)
COLUMNS = ("training", "test", "score", "scale", "orientation", "verdict")

CENTRE = 0.8  # of the short side: the template, which is then found in an image that lacks the borders
COARSE, FINE = 16, 64  # sides of a template, in pixels of a thumbnail
RATIOS = tuple(1.07**-i for i in range(25))  # side of the square that is compared / short side of the searched image
WIDE, MARGIN = 0.03, 1 / COARSE  # the first look at a coarse place: steps of its side, room around it
STEPS = (0.01, 0.005, 0.0025)  # of the looks thereafter, in place and side, as fractions of the side
DETAIL = 8  # pixels of a thumbnail: what changes over more than about twice that is shading
FLAT = 2.0  # gray levels; less detail than this is noise
CANDIDATE, PROMISING = 0.7, 0.4  # the coarse and the first fine score from which on a pair is looked at again
REPORTED, COPY = 0.7, 0.9  # the last fine score
SHOWN = 10


def search(training, tests):
    """Finds the training images that are copies or crops of test images, or the other way round.

    Args:
        training: {name: gray image, as `read` gives it}.
        tests: the same.

    Returns:
        A list of dicts with the keys `COLUMNS`, one per pair that scores `REPORTED` or more, best first.
    """
    rows = [_row(test, name, *match) for test, name, *match in _matches(tests, training)]
    for name, test, score, scale, orientation in _matches(training, tests):
        rows.append(_row(test, name, score, 1 / scale, _inverse(orientation)))
    rows = sorted((row for row in rows if row["score"] >= REPORTED), key=lambda row: row["score"])
    best = {(row["training"], row["test"]): row for row in rows}  # the last of a pair
    return sorted(best.values(), key=lambda row: -row["score"])


def _matches(templates, searched):
    """Yields (template's name, searched image's name, score, scale, orientation) of all pairs worth a fine look."""
    for name, searched_name, orientation, place in _candidates(templates, searched):
        square = central_square(templates[name], FINE)[[orientation]]
        score, _, _, side = refine(details(square), searched[searched_name], place)
        yield name, searched_name, score, side / (CENTRE * min(templates[name].size)), orientation


def _row(test, training, score, scale, orientation):
    verdict = "copy" if score >= COPY else "similar"
    return dict(zip(COLUMNS, (training, test, round(score, 4), round(scale, 3), orientation, verdict), strict=True))


def _inverse(orientation):
    return {5: 6, 6: 5}.get(orientation, orientation)


def _candidates(templates, searched):
    """Yields (template's name, searched image's name, orientation, place) of the pairs that agree at a coarse look."""
    names = list(itertools.product(templates, range(geometry.ORIENTATIONS)))
    squares = details(np.concatenate([central_square(image, COARSE) for image in templates.values()]))
    for searched_name, image in searched.items():
        best = np.full((len(squares), 4), -1.0)
        for ratio in RATIOS:
            places = best_places(squares, image, ratio * min(image.size), (0, 0, *image.size))
            best = np.where(places[:, :1] > best[:, :1], places, best)
        for i in np.flatnonzero(best[:, 0] >= CANDIDATE):
            name, orientation = names[i]
            yield name, searched_name, orientation, best[i]


def refine(template, image, place):
    """Returns the place near a coarse one where a fine template fits best: a wider look, then ever smaller steps.

    Args:
        template: [1, FINE * FINE], of `details`.
        image: the searched gray image.
        place: score, x, y and side, as in `best_places`.
    """
    _, x, y, side = place
    place = max(_look(template, image, x, y, side * (1 + i * WIDE), MARGIN) for i in range(-2, 3))
    for step in STEPS if place[0] >= PROMISING else ():
        _, x, y, side = place
        moves = itertools.product((-step, 0, step), repeat=3)
        tries = [_look(template, image, x + i * side, y + j * side, side * (1 + k)) for i, j, k in moves]
        place = max([place, *tries])
    return place


def _look(template, image, x, y, side, margin=0):
    """Returns the best place around the point x, y of an image, or as near to it as a square of that side can lie."""
    side = min(side, *image.size)
    x, y = (min(max(at, side / 2), length - side / 2) for at, length in zip((x, y), image.size, strict=True))
    reach = side / 2 + side * margin
    box = max(x - reach, 0), max(y - reach, 0), min(x + reach, image.width), min(y + reach, image.height)
    return best_places(template, image, side, box)[0].tolist()


def best_places(templates, image, side, box):
    """Returns where a square of `side` pixels within a box of the image resembles each template most.

    Args:
        templates: [k, size * size], of `details`.
        image: the searched gray image.
        side: in pixels of the image, may be a fraction.
        box: left, top, right and bottom, in pixels of the image.

    Returns:
        [k, 4]: the correlation in [-1, 1], and centre x, y and side of the square, in pixels of the image.
    """
    size = math.isqrt(templates.shape[1])
    pixel = side / size  # of the thumbnail, in pixels of the image
    left, top, right, bottom = box
    width, height = (max(int(length / pixel + 1e-6), size) for length in (right - left, bottom - top))
    box = left, top, min(left + width * pixel, image.width), min(top + height * pixel, image.height)
    thumbnail = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box))
    windows = np.lib.stride_tricks.sliding_window_view(thumbnail, (size, size))
    scores = _correlations(windows.reshape(-1, size * size), templates)
    best = scores.argmax(1)
    y, x = np.divmod(best, windows.shape[1])
    x, y = (at * pixel + side / 2 for at in (x, y))
    return np.stack([scores[range(len(best)), best], left + x, top + y, np.full(len(best), side)], axis=1)


def central_square(image, size):
    """Returns the central square of a gray image as a thumbnail in its eight orientations: [8, size, size]."""
    side = CENTRE * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = left, top, left + side, top + side
    square = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))[..., None]
    return np.stack([geometry.orient(square, i)[..., 0] for i in range(geometry.ORIENTATIONS)])


def details(squares):
    """Takes the broad shading out of squares and scales each to length 1; zeros for a square without detail.

    Args:
        squares: [k, size, size], gray levels.

    Returns:
        float32 [k, size * size].
    """
    pixels = squares.reshape(len(squares), -1)
    shading = _shading(squares.shape[1])
    pixels = pixels - (pixels @ shading.T) @ shading
    return pixels * _inverse_lengths(np.square(pixels).sum(1), pixels.shape[1])[:, None]


def _correlations(windows, templates):
    """Returns templates @ details(windows).T, [k, n], without the details: templates have no shading anyway."""
    shading = _shading(math.isqrt(windows.shape[1]))
    squared = np.einsum("ij,ij->i", windows, windows) - np.square(windows @ shading.T).sum(1)
    return templates @ (windows * _inverse_lengths(squared, windows.shape[1])[:, None]).T


def _inverse_lengths(squared, pixels):
    return np.where(squared > FLAT**2 * pixels, 1 / np.sqrt(np.maximum(squared, 1)), 0).astype(np.float32)


@functools.cache
def _shading(size):
    """Returns an orthonormal basis of the smooth surfaces over a square: float32 [k, size * size], 6 or 45 of them."""
    degree = size // DETAIL
    x = np.linspace(-1, 1, size)
    surfaces = [np.outer(x**i, x**j).ravel() for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.linalg.qr(np.stack(surfaces, axis=1))[0].T.astype(np.float32)


def read(path):
    """Returns an image file as a gray Pillow image of floats."""
    return Image.fromarray(dataset.read_image(path, color="gray")[..., 0].astype(np.float32))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.leaks", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, metavar="DATASETS", help="the folder of all image sets")
    data = parser.parse_args(arguments).data
    training, tests = (
        {str(path.relative_to(data)): read(path) for folder in folders for path in dataset.list_images(data / folder)}
        for folders in (TRAINING, TESTS)
    )
    rows = search(training, tests)
    compared = {"training_images": len(training), "test_images": len(tests)}
    csv_table.write(RESULT, (*COLUMNS, *compared), [{**row, **compared} for row in rows])
    print(f"{len(training)} training and {len(tests)} test images compared; the best scores:")
    for row in rows[:SHOWN]:
        print("{score:.4f} {verdict:7} {training:26} {test:26} scale {scale} orientation {orientation}".format(**row))


if __name__ == "__main__":
    main()
