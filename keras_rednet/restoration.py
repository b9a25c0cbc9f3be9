"""Restores a picture of any size and kind with a RED-Net, in tiles that leave no seams.

The kind that goes in comes back: uint8, uint16 or float arrays, gray, RGB or RGBA, PIL images. Inside, images are
float32, [h, w, c], in [0, 1].
"""

import dataclasses
import itertools
import math
import weakref
from collections.abc import Callable

import keras
import numpy as np
from PIL import Image

from keras_rednet import color as colors
from keras_rednet import geometry
from keras_rednet.fold import copy_weights, fold
from keras_rednet.model import halo, image_channels, size_multiple, values_per_pixel
from keras_rednet.resize import resize

VISIBLE = 1 / 512  # the least alpha that pixels of 8 bits show
MOST = 16  # of a float image, either way: noise lies beyond [0, 1], but not so far
WINDOW_VALUES = 560 * 560 * 64  # values of one layer's feature maps that "auto" keeps in memory at a time, 80 MB
STRIP = 256  # rows that are shrunk or filled at a time; even
JAX_WINDOW = 64  # pixels; JAX compiles anew for each size of window, which takes seconds, and keeps that
_deployed = weakref.WeakKeyDictionary()  # model -> (its weights, deployment graph, that graph ready to run)


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A network ready to run, and what tiling must know of it.

    Attributes:
        run: function of float32 [n, h, w, channels] in [0, 1], h and w multiples of `size_multiple`, to the same shape.
        channels: 1 or 3.
        size_multiple: pixels.
        halo: how far around a pixel the network looks, in pixels, rounded up to a multiple of `size_multiple`.
        values_per_pixel: of its largest feature maps, for each pixel of the image.
        eight_bits: whether it rounds the image to 8 bits.
        window_multiple: of which the sides of windows are multiples where an image has several: few sizes to compile.
    """

    run: Callable
    channels: int
    size_multiple: int
    halo: int
    values_per_pixel: float
    eight_bits: bool = False
    window_multiple: int = 1


def restore(model, image, *, color="channels", tile="auto", orientations=1):
    """Restores an image; the same kind, size and type comes back, of a PIL image the mode nearest to its own.

    Palettes, CMYK and other colour spaces come back as RGB, two levels as gray, a transparent colour as alpha; of what
    a PIL image says of itself (`info`) its dpi, EXIF and, where it still fits, its colour profile are kept.

    Args:
        model: a RED-Net with 1 or 3 channels, for instance `RED30("denoise", channels=3, downsample_at=(1,))`, or a
            TFLite file of one, by `load_tflite`. One that was built under Keras' dtype policy "mixed_bfloat16" restores
            in that, all others in float32. Denoisers for colour take noise that is equal in R, G and B for detail: give
            gray images to one with 1 channel.
        image: uint8 (0-255), uint16 (0-65535) or float ([0, 1]) array [h, w] or [h, w, 1|3|4], or a PIL image.
            A fourth channel is alpha and stays untouched, and so do colours where it is 0, which the network does not
            see: what is visible goes on there. (Of gray PNG files of 2 or 4 bits Pillow tells a transparent colour
            wrongly, which `rednet` mends.)
        color: how a one-channel model restores a colour image: "channels", each of R, G and B; "luminance", the Y of
            BT.601 only; "ycbcr", each of Y, Cb and Cr, which is best for JPEG, as it codes these. A gray image is all
            Y with either of these, 16/255 to 235/255, and as it is with "channels".
        tile: side of the squares that are restored at a time, in pixels, without their surroundings; "auto" fits
            their feature maps in some hundred megabytes; None takes the image whole. The result is the same, to 1e-5
            where the backend computes float32 in full (GPUs may round it to TF32), but for "dynamic" TFLite files,
            which measure the range of each tile.
        orientations: 1, or 8 to average over all flips and rotations (Sec. 3.5): slower, slightly better, but worse for
            damage that has a direction, as text and motion blur have. Each tile is turned with its surroundings.

    Returns:
        The restored image. Integers are rounded and clipped; floats are neither, but TFLite files clip their planes.

    Raises:
        TypeError: neither an array nor a PIL image, or an array of another type.
        ValueError: another shape, an empty image, values that are not finite, or an unknown option; 16 bits for the
            TFLite file of a network that takes 8.

    Example:
        >>> from keras_rednet import REDNet
        >>> restore(REDNet(10, filters=4, skips=None), np.zeros((5, 7, 3), "uint8")).shape
        (5, 7, 3)
    """
    if color not in colors.PLANES:
        raise ValueError(f"`color` must be one of {colors.PLANES}. Received: color={color!r}.")
    if orientations not in (1, geometry.ORIENTATIONS):
        raise ValueError(f"`orientations` must be 1 or 8. Received: orientations={orientations!r}.")
    network = _deployment(model)
    if isinstance(image, Image.Image):
        pixels = _checked(network, pil_pixels(image), (1, 2, 3, 4))
        return pil_image(_restored(network, pixels, color, tile, orientations), image)
    return _restored(network, _checked(network, image), color, tile, orientations).reshape(image.shape)


def upscale(model, image, size=None, *, scale=None, tile="auto", orientations=1):
    """Enlarges an image by bicubic interpolation and restores its detail (Sec. 5.3).

    A one-channel network restores the luminance; chroma and alpha are interpolated only. Networks know images that were
    enlarged 2 to 4 times: by less, an image is enlarged twice and then shrunk, which takes as long; by more, it is
    enlarged several times. To its own size it comes back as it is.

    Args:
        model: a RED-Net for super-resolution, for instance `RED30("super_resolution", downsample_at=(1,))`.
        image: as `restore` takes it.
        size: (height, width) of the enlarged image, in pixels, or None.
        scale: in its place, how many times as high and wide as the image it is, 1 or more; sides are rounded.
        tile, orientations: as in `restore`.

    Returns:
        The enlarged image, of the same kind and type.

    Raises:
        TypeError, ValueError: as `restore`; the size is smaller than the image, or not exactly one of `size` and
            `scale` is given.
    """
    if orientations not in (1, geometry.ORIENTATIONS):
        raise ValueError(f"`orientations` must be 1 or 8. Received: orientations={orientations!r}.")
    network = _deployment(model)
    from_pil = isinstance(image, Image.Image)
    pixels = _checked(network, pil_pixels(image), (1, 2, 3, 4)) if from_pil else _checked(network, image)
    if (size is None) == (scale is None):
        raise ValueError(f"Give either `size` or `scale`. Received: size={size!r}, scale={scale!r}.")
    size = scaled(pixels.shape[:2], scale) if size is None else size
    _check_size(size, pixels.shape[:2])
    size = tuple(map(int, size))  # NumPy's would overflow
    stages = _stages(pixels.shape[:2], size)
    enlarged = fill_hidden(pixels) if stages else pixels.copy()
    for larger, kept in stages:
        enlarged = _upscaled(network, enlarged, larger, tile, orientations)
        enlarged = enlarged if kept == larger else _shrunk(enlarged, kept)
    return pil_image(enlarged, image) if from_pil else enlarged.reshape(*size, *image.shape[2:])


def scaled(size, scale):
    """Returns the (height, width) that an image of this size has when it is enlarged `scale` times."""
    if not (isinstance(scale, int | float | np.number) and 1 <= scale < float("inf")):
        raise ValueError(f"`scale` must be a number of at least 1. Received: scale={scale!r}.")
    return tuple(round(float(scale) * side) for side in size)


def _restored(network, pixels, color, tile, orientations):
    """Restores [h, w, c]; the last of 2 or 4 channels is alpha."""
    restored, count = pixels.copy(), _colors(pixels)
    filled = fill_hidden(pixels)
    for (rows, columns), keep, target in _tiles(network, pixels.shape, tile):
        values = _to_float(filled[rows[:, None], columns, :count])
        values = _average(lambda x: _by_color(network, x, color), values, orientations)
        restored[*target, :count] = _from_float(values[keep], pixels.dtype)
    if count < pixels.shape[2]:
        np.copyto(restored, pixels, where=pixels[..., count:] <= 0)
    return restored


def fill_hidden(pixels):
    """Returns [h, w, c] with other colours where the last of 2 or 4 channels, alpha, is 0 or less: those beside them.

    They are means of the smallest squares of 2, 4, 8 ... pixels a side that show anything, interpolated.
    """
    count = _colors(pixels)
    shown = pixels[..., count:] > 0
    if shown.all() or not shown.any():
        return pixels
    return np.concatenate([_filled(pixels[..., :count], shown), pixels[..., count:]], axis=2)


def _filled(pixels, shown):
    """Returns [h, w, c] where `shown` [h, w, 1]; elsewhere means of 2x2 pixels, of these where there are none."""
    if shown.all():
        return pixels
    height, width, count = pixels.shape
    means = np.empty((-(-height // 2), -(-width // 2), count), np.float32)
    any_shown = np.empty((*means.shape[:2], 1), bool)
    strips = [slice(start, start + STRIP) for start in range(0, height, STRIP)]
    for rows in strips:
        halves = slice(rows.start // 2, rows.stop // 2)
        number = _in_squares(shown[rows].astype(np.float32))
        means[halves] = _in_squares(_to_float(pixels[rows]) * shown[rows]) / np.maximum(number, 1)
        any_shown[halves] = number > 0
    means = _filled(means, any_shown)
    filled = pixels.copy()
    for rows in strips:
        hidden = ~shown[rows]
        if hidden.any():
            beside = _doubled(_doubled(means, 0, range(height)[rows]), 1, range(width))
            np.copyto(filled[rows], _from_float(beside, pixels.dtype), where=hidden)
    return filled


def _in_squares(image):
    """Returns the sums of squares of 2x2 pixels of [h, w, c]; the last ones are filled up with 0."""
    image = np.pad(image, [(0, side % 2) for side in image.shape[:2]] + [(0, 0)])
    return image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).sum(axis=(1, 3))


def _doubled(image, axis, indices):
    """Returns [h, w, c] enlarged twice along an axis, interpolated linearly, these of its new indices there."""
    indices = np.asarray(indices)
    nearest, last = indices // 2, image.shape[axis] - 1
    beside = np.clip(nearest + np.where(indices % 2, 1, -1), 0, last)
    return 0.75 * image.take(nearest, axis) + 0.25 * image.take(beside, axis)


def _stages(before, after):
    """Returns to which sizes, if any, an image is enlarged in turn, by 2 to 4 times, and then shrunk.

    Networks know images that were enlarged so, of both axes.
    """
    stages, sides = [], before
    scales = [new / old for old, new in zip(before, after, strict=True)]
    count = next(count for count in itertools.count(0) if max(scales) <= 4**count)
    for i in range(1, count + 1):
        wanted = [round(side * scale ** (i / count)) for side, scale in zip(before, scales, strict=True)]
        larger = tuple(max(2 * side, new) for side, new in zip(sides, wanted, strict=True))
        sides = after if i == count else tuple(map(min, larger, after))
        stages.append((larger, sides))
    return stages


def _upscaled(network, pixels, size, tile, orientations):
    """Enlarges [h, w, c] to (height, width); the last of 2 or 4 channels is alpha."""
    enlarged, count = np.empty((*size, pixels.shape[2]), pixels.dtype), _colors(pixels)
    interpolated = _interpolation(pixels, size)
    for (rows, columns), keep, target in _tiles(network, size, tile):
        values = interpolated(rows, columns)
        restored = _average(lambda x: _by_color(network, x, "luminance"), values[..., :count], orientations)
        enlarged[target] = _from_float(np.concatenate([restored, values[..., count:]], axis=2)[keep], pixels.dtype)
    return enlarged


def _shrunk(pixels, size):
    """Shrinks [h, w, c] to (height, width) by bicubic interpolation; the last of 2 or 4 channels is alpha."""
    shrunk = np.empty((*size, pixels.shape[2]), pixels.dtype)
    interpolated = _interpolation(pixels, size)
    for rows in np.array_split(np.arange(size[0]), -(-size[0] // STRIP)):
        shrunk[rows] = _from_float(interpolated(rows, np.arange(size[1])), pixels.dtype)
    return shrunk


def _interpolation(pixels, size):
    """Returns a function of rows and columns: what [h, w, c] is there, float32, if it is resized to (height, width)."""
    count = _colors(pixels)
    has_alpha = count < pixels.shape[2]
    if has_alpha:
        weighted = _to_float(pixels[..., :count])
        weighted *= _to_float(pixels[..., count:])
        darkest, lightest = (_to_float(extreme(pixels[..., :count])) for extreme in (np.min, np.max))

    def interpolated(rows, columns):
        values = resize(pixels, size, rows, columns) / _white(pixels.dtype)
        values, alpha = values[..., :count], values[..., count:]
        if has_alpha:  # or what it hides would colour the edges of what it shows
            visible, opaque = alpha > VISIBLE, alpha > 1 - VISIBLE
            quotient = resize(weighted, size, rows, columns) / np.where(visible, alpha, 1)
            bounded = np.where(opaque, quotient, np.clip(quotient, darkest, lightest))  # little alpha makes large lobes
            values = np.where(visible, bounded, values)
        return np.concatenate([values, alpha], axis=2)

    return interpolated


def _colors(pixels):
    """Returns how many channels of [h, w, c] are colours, not alpha."""
    return pixels.shape[2] - (pixels.shape[2] % 2 == 0)


def pil_image(pixels, image):
    """Returns [h, w, c] as a PIL image that keeps what `image` says of itself."""
    restored = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    kept = ("dpi", "exif") if image.mode in colors.OTHER_SPACES else ("dpi", "exif", "icc_profile")
    restored.info = {key: value for key, value in image.info.items() if key in kept}
    return restored


def pil_pixels(image):
    """Returns the pixels of a PIL image as `restore` takes them: [h, w] or [h, w, c], the last of 2 or 4 is alpha."""
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if image.mode.startswith("I"):  # 16-bit gray; "I" is how Pillow opens some of them
        if has_alpha:
            raise ValueError("A gray PIL image of 16 bits must have no transparent colour. Convert it to RGBA first.")
        pixels = np.asarray(image)
        if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
            raise ValueError(f"A gray PIL image must be 16-bit. Received: values {pixels.min()} to {pixels.max()}.")
        return pixels.astype(np.uint16)
    if image.mode == "F":
        return np.asarray(image)
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("LA" if has_alpha else "L"))
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def _checked(network, image, channels=(1, 3, 4)):
    """Returns the image as an array [h, w, c], or says what is wrong with it."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"`image` must be a NumPy array or a PIL image. Received: {type(image).__name__}.")
    dtype = image.dtype.newbyteorder("=")  # FITS and TIFF files hold numbers of either order
    if dtype not in (np.uint8, np.uint16) and not np.issubdtype(dtype, np.floating):
        raise TypeError(f"`image` must be uint8, uint16 or float. Received: dtype={image.dtype}.")
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[2] not in channels or 0 in pixels.shape:
        raise ValueError(
            f"`image` must have the shape [h, w] or [h, w, 1|3|4] and at least a pixel. Received: shape={image.shape}."
        )
    if np.issubdtype(image.dtype, np.floating):
        lowest, highest = image.min(), image.max()
        if not np.isfinite([lowest, highest]).all():
            raise ValueError("`image` must be finite. Received: NaN or infinite values; replace them first.")
        if max(-lowest, highest) > MOST:
            raise ValueError(
                f"A float `image` must have values about 0 to 1, black to white. Received: {lowest:g} to {highest:g}; "
                "divide 8-bit values by 255 first."
            )
    if network.eight_bits and dtype == np.uint16:
        raise ValueError(
            "An int8 file takes 8 bits, so 8 of these would be lost: use a file of another precision, or convert the "
            "image to uint8 first. Received: dtype=uint16."
        )
    return pixels


def _check_size(size, least):
    sides = size if isinstance(size, tuple | list | np.ndarray) and np.iterable(size) else ()
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) for side in sides):
        raise ValueError(f"`size` must be (height, width), whole numbers of pixels. Received: size={size!r}.")
    if size[0] < least[0] or size[1] < least[1]:
        raise ValueError(
            f"`size` must be at least the image's, (height, width) = {least}. Received: size={tuple(size)}."
        )


def _tiles(network, shape, tile):
    """Yields (window, keep, target) for each tile: (rows, columns) to read, what of them is exact, where that belongs.

    Windows stay inside the image (padded to the size multiple), so the network's zero padding acts at its true border
    only; around what is kept they hold the network's halo; they start at multiples of the total stride. So the tiles
    are the whole image's result. All windows of an image are of one size.
    """
    multiple = network.size_multiple
    padded = [-(-size // multiple) * multiple for size in shape[:2]]
    grid = _grid(network, padded, tile)
    rows, columns = (_spans(network, *sizes) for sizes in zip(shape[:2], padded, grid, strict=True))
    for row_window, row_keep, row_target in rows:
        for column_window, column_keep, column_target in columns:
            window = _mirrored(row_window, shape[0]), _mirrored(column_window, shape[1])
            yield window, (row_keep, column_keep), (row_target, column_target)


def _grid(network, padded, tile):
    """Returns how many (rows, columns) of tiles cut an image of the padded size."""
    if tile is None:
        return 1, 1
    if tile == "auto":
        return _cheapest_grid(network, padded)
    if not isinstance(tile, int | np.integer) or isinstance(tile, bool) or tile < 1:
        raise ValueError(f"`tile` must be 'auto', None or a positive number of pixels. Received: tile={tile!r}.")
    tile, common = int(tile), math.lcm(network.size_multiple, network.window_multiple)
    side = -(-(tile + 2 * network.halo) // common) * common - 2 * network.halo if network.window_multiple > 1 else tile
    return [max(1, -(-(size - 2 * network.halo) // side)) for size in padded]


def _cheapest_grid(network, padded):
    """Returns the grid of fewest pixels to compute, halos included, among those whose windows fit in memory.

    Windows that are not of `window_multiple` only come last, but a single one.
    """
    (height, width), multiple, halo = padded, network.size_multiple, network.halo
    least = 64 + 2 * halo + max(multiple, network.window_multiple)
    most = max(WINDOW_VALUES / network.values_per_pixel, least**2)
    costs = {}
    for rows in range(1, height // 64 + 2):
        window_height = _window(network, height, rows)
        for step in (multiple, math.lcm(multiple, network.window_multiple)):
            side = max(step, int(most / window_height) // step * step - 2 * halo)
            columns = max(1, -(-(width - 2 * halo) // side))
            window_width = _window(network, width, columns)
            if window_height * window_width <= most:
                uncommon = any(side % network.window_multiple for side in (window_height, window_width))
                pixels = rows * window_height * columns * window_width
                costs[rows, columns] = uncommon and rows * columns > 1, pixels
    return min(costs, key=costs.get)


def _window(network, padded, count):
    """Returns the side of `count` equal windows that cover an axis and overlap by two halos at least."""
    multiple = math.lcm(network.size_multiple, network.window_multiple)
    return min(padded, -(-(padded + 2 * network.halo * (count - 1)) // (count * multiple)) * multiple)


def _spans(network, size, padded, count):
    """Cuts one axis: a list of (window, keep, target) slices."""
    window, halo, multiple = _window(network, padded, count), network.halo, network.size_multiple
    if window == padded:
        return [(slice(0, padded), slice(0, size), slice(0, size))]
    starts = [round(i * (padded - window) / (count - 1) / multiple) * multiple for i in range(count)]
    cuts = [0, *(start + halo for start in starts[1:]), size]
    return [
        (slice(start, start + window), slice(begin - start, end - start), slice(begin, end))
        for start, begin, end in zip(starts, cuts, cuts[1:], strict=False)
    ]


def _mirrored(window, size):
    """Returns the indices of a window's pixels along an axis; beyond its end, reflected as the model itself would."""
    index = np.arange(window.start, window.stop)
    return np.minimum(index, 2 * (size - 1) - index if size > window.stop - size else size - 1)


def _average(run, values, orientations):
    """Restores all orientations of [h, w, c], turns them back and averages (Sec. 3.5)."""
    total = 0
    for orientation in range(int(orientations)):
        turned = np.ascontiguousarray(geometry.orient(values, orientation))
        total = total + geometry.restore_orientation(run(turned), orientation)
    return total / orientations


def _by_color(network, image, color):
    """Restores [h, w, 1|3] with a network of 1 or 3 channels."""
    run, channels = network.run, network.channels
    if channels == image.shape[2] == 1 and color != "channels":  # Y as of equal R, G and B
        black, contrast = float(colors.OFFSET[0]), float(colors.YCBCR[0].sum())
        return (run((black + contrast * image)[None])[0] - black) / contrast
    if image.shape[2] == channels:
        return run(image[None])[0]
    if channels == 3:  # a gray image as three equal channels
        return run(np.repeat(image, 3, axis=2)[None])[0].mean(axis=2, keepdims=True)
    planes = image if color == "channels" else colors.rgb_to_ycbcr(image)
    count = 1 if color == "luminance" else 3
    restored = [run(planes[None, ..., i : i + 1])[0] for i in range(count)]
    planes = np.concatenate([*restored, planes[..., count:]], axis=2)
    return planes if color == "channels" else colors.ycbcr_to_rgb(planes)


def _deployment(model):
    """Returns the model's deployment graph, ready to run, made once and kept while the model is.

    Weights that have changed since, by training or loading, are copied over.
    """
    if isinstance(model, Deployed):
        return model
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a RED-Net, such as RED30(), or a TFLite file by load_tflite. "
            f"Received: {type(model).__name__}."
        )
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise TypeError(
            "`model` must be a functional model with one input, as RED30() is. "
            f"Received: {type(model).__name__}; restore with the RED-Net in it."
        )
    weights = model.get_weights()
    if model not in _deployed:
        graph = fold(model, dtype=_policy(model))
        _deployed[model] = weights, graph, _ready(model, graph)
    before, graph, network = _deployed[model]
    if not all(map(np.array_equal, before, weights)):
        copy_weights(model, graph)
        _deployed[model] = weights, graph, network
    return network


def _policy(model):
    """Returns the dtype policy to restore in: not that of float16, of which feature maps may be out of range."""
    return "mixed_bfloat16" if {x.compute_dtype for x in model.layers if x.weights} == {"bfloat16"} else "float32"


def _ready(model, graph):
    return Deployed(
        run=_compiled(graph),
        channels=image_channels(model),
        size_multiple=size_multiple(model),
        halo=halo(model),
        values_per_pixel=values_per_pixel(model),
        window_multiple=JAX_WINDOW if keras.backend.backend() == "jax" else 1,
    )


def _compiled(graph):
    if keras.backend.backend() == "jax":
        return _compiled_by_jax(graph)
    if keras.backend.backend() != "tensorflow":
        return lambda images: np.asarray(graph.predict_on_batch(images))
    import tensorflow as tf  # the backend, so it is there; one trace serves every size

    signature = [tf.TensorSpec((None, None, None, graph.input_shape[-1]), tf.float32)]
    function = tf.function(lambda images: graph(images, training=False), input_signature=signature)

    def run(images):
        try:
            return function(tf.constant(images)).numpy()
        except tf.errors.ResourceExhaustedError:
            size = "x".join(map(str, images.shape[1:3]))
            raise MemoryError(f"Not enough memory for tiles of {size} pixels: choose a smaller `tile`.") from None

    return run


def _compiled_by_jax(graph):
    """Like `predict_on_batch`, which gives JAX the arrays of the weights to destroy: other threads read them, too."""
    import jax

    function = jax.jit(lambda values, images: graph.stateless_call(values, [], images, training=False)[0])
    return lambda images: np.asarray(function([variable.value for variable in graph.trainable_variables], images))


def _white(dtype):
    return np.float32(1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max)


def _to_float(pixels):
    return (pixels / _white(pixels.dtype)).astype(np.float32, copy=False)


def _from_float(values, dtype):
    if np.issubdtype(dtype, np.floating):
        return values.astype(dtype)
    return np.rint(np.clip(values, 0, 1) * _white(dtype)).astype(dtype)
