"""Text and scratches drawn over an image (Sec. 5.6 of the paper).

Pillow draws pages of them when a corruption is first used; the graph then samples a page, a place on it and colours. A
page goes on at its borders as on the other side, so it covers images of any size.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from keras_rednet.corruptions.noise import as_float, check_pair

PAGES = 32
PAGE = 512  # pixels: side of a page
INKS = 8  # colours at a time
ALPHABET = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclasses.dataclass(frozen=True)
class TextOverlay:
    """Writes lines of random words in random colours over an image: text removal, Sec. 5.6.

    The font is the one that Pillow carries, with smooth edges. A line stands every two font sizes.

    Args:
        font_size_range: the smallest and the largest font size, integer pixels from 6 to 64. Of 32 pages, each of one
            size and the sizes as evenly spread as can be, one is drawn per image.
        pages: a number of at least 0, from which the pages of text are drawn. Test on others than you train on: those
            would not tell how a network does on words it never saw.

    Raises:
        ValueError: the range is not a pair 6 <= low <= high <= 64, or `pages` is no such number.
    """

    font_size_range: tuple[int, int]
    pages: int = 0

    def __post_init__(self):
        check_pair("font_size_range", self.font_size_range, 6, 64, "font sizes in pixels", integers=True)
        _check_pages(self.pages)

    def __call__(self, clean, seed):
        return apply(clean, *self.draw(tf.shape(clean), seed))

    def draw(self, size, seed):
        """Returns what lies over an image of some size (h, w, ...).

        Returns:
            How much of each pixel is covered, float32 [h, w, 1] in [0, 1], by which ink, int32 [h, w], and the colours
            of the inks, float32 [inks, 3] in [0, 1].
        """
        return _sample(_text_bank(*self.font_size_range, self.pages), size, seed)


@dataclasses.dataclass(frozen=True)
class ScratchOverlay:
    """Draws random curves in random colours over an image: scratch removal, Sec. 5.6.

    Args:
        count_range: the fewest and the most scratches per 128x128 pixels, integers; (0, 0) draws none.
        width_range: the thinnest and the thickest scratch, integer pixels from 1 to 16.
        length_range: the shortest and the longest scratch, integer pixels from 8 to 512.
        pages: as in `TextOverlay`.

    Raises:
        ValueError: a range is not such a pair, or `pages` is no such number.
    """

    count_range: tuple[int, int] = (1, 4)
    width_range: tuple[int, int] = (1, 3)
    length_range: tuple[int, int] = (32, 192)
    pages: int = 0

    def __post_init__(self):
        check_pair("count_range", self.count_range, 0, 64, "scratches per 128x128 pixels", integers=True)
        check_pair("width_range", self.width_range, 1, 16, "widths in pixels", integers=True)
        check_pair("length_range", self.length_range, 8, PAGE, "lengths in pixels", integers=True)
        _check_pages(self.pages)

    def __call__(self, clean, seed):
        return apply(clean, *self.draw(tf.shape(clean), seed))

    def draw(self, size, seed):
        """Returns what `TextOverlay.draw` returns, of scratches."""
        bank = _scratch_bank(self.count_range, self.width_range, self.length_range, self.pages)
        return _sample(bank, size, seed)


def apply(clean, cover, ink, colors):
    """Returns `clean` [h, w, c] under what `draw` returned."""
    clean = as_float(clean)
    if clean.shape[-1] == 1:
        colors = tf.reduce_mean(colors, axis=1, keepdims=True)
    return clean + cover * (tf.gather(colors, ink) - clean)


def _check_pages(pages):
    if not isinstance(pages, int) or pages < 0:
        raise ValueError(f"`pages` must be a whole number of at least 0. Received: pages={pages!r}.")


def _sample(bank, size, seed):
    """Cuts a random window of size [h, w, ...] from a random page of a bank, which goes on periodically."""
    window_seed, color_seed = tf.unstack(tf.random.split(seed))
    page_seed, place_seed = tf.unstack(tf.random.split(window_seed))
    number = tf.random.stateless_uniform([], page_seed, 0, len(bank), tf.int32)
    place = tf.random.stateless_uniform([2], place_seed, 0, PAGE, tf.int32)
    window = tf.constant(bank)[number]
    for axis in (0, 1):
        window = tf.gather(window, tf.range(place[axis], place[axis] + size[axis]) % PAGE, axis=axis)
    colors = tf.random.stateless_uniform([INKS, 3], color_seed)
    return tf.cast(window[..., :1], tf.float32) / 255, tf.cast(window[..., 1], tf.int32), colors


@functools.lru_cache(maxsize=8)
def _text_bank(smallest, largest, pages):
    sizes = np.linspace(smallest, largest, PAGES).round().astype(int)
    return np.stack([_text_page(int(size), random) for size, random in zip(sizes, _randoms(1, pages), strict=True)])


@functools.lru_cache(maxsize=8)
def _scratch_bank(count_range, width_range, length_range, pages):
    return np.stack([_scratch_page(count_range, width_range, length_range, random) for random in _randoms(2, pages)])


def _randoms(kind, pages):
    return [np.random.default_rng([kind, page] if pages == 0 else [kind, page, pages]) for page in range(PAGES)]


def _text_page(size, random):  # uint8 [PAGE, PAGE, 2]: cover and ink
    font = ImageFont.load_default(size)
    page = _Page()
    lines = max(1, round(PAGE / (2 * size)))
    for line in range(lines):
        x, start = 0.0, int(random.integers(PAGE))
        while True:
            word = "".join(random.choice(list(ALPHABET), random.integers(2, 10)))
            width = font.getlength(word)
            if x + width > PAGE:
                break
            place = ((start + round(x)) % PAGE, round(line * PAGE / lines))
            page.pens[random.integers(INKS)].text(place, word, 255, font)
            x += width + font.getlength(" ")
    return page.pixels()


def _scratch_page(count_range, width_range, length_range, random):
    page = _Page()
    areas = (PAGE // 128) ** 2
    for _ in range(int(random.integers(areas * count_range[0], areas * count_range[1] + 1))):
        length, width = (int(random.integers(low, high + 1)) for low, high in (length_range, width_range))
        angle, bend = random.uniform(0, 2 * np.pi), random.normal(0, 1 / length)
        steps = np.arange(0, length + 1, 4)
        points = np.cumsum(4 * np.stack([np.cos(angle + bend * steps), np.sin(angle + bend * steps)]), axis=1)
        points = (points + random.uniform(0, PAGE, (2, 1))).T
        pen = page.pens[random.integers(INKS)]
        for shift in np.ndindex(3, 3):  # again for each page that it reaches into
            pen.line([tuple(point) for point in points - PAGE * (np.array(shift) - 1)], 255, width, joint="curve")
    return page.pixels()


class _Page:
    """A page in the making, a pen for each ink; what they draw beyond its border appears on the other side."""

    def __init__(self):
        self.sheets = [Image.new("L", (2 * PAGE, 2 * PAGE)) for _ in range(INKS)]
        self.pens = [ImageDraw.Draw(sheet) for sheet in self.sheets]

    def pixels(self):
        covers = np.stack([np.asarray(sheet) for sheet in self.sheets], axis=-1)
        covers = covers.reshape(2, PAGE, 2, PAGE, INKS).max(axis=(0, 2))
        return np.stack([covers.max(axis=-1), covers.argmax(axis=-1).astype(np.uint8)], axis=-1)
