"""A trained RED-Net as a TFLite file for phones, browsers and anything else that runs LiteRT.

The file holds the deployment graph (fold.py) and nothing else: convolutions, sums, a padding and a depth-to-space for
each stride. Both sides of an image must be multiples of `size_multiple`; reflect it at the bottom and right, and crop
the result. One signature, `restore`: `image` [1, h, w, c] -> `restored`, the same shape, clipped to [0, 1]. What a
client must know stands in the file as JSON, under the metadata name METADATA, and beside it.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from string import ascii_letters

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from keras_rednet.color import CHANNELS
from keras_rednet.fold import fold
from keras_rednet.model import followed, halo, image_channels, size_multiple, values_per_pixel
from keras_rednet.saved_model import require_tensorflow, with_metadata
from keras_rednet.weights import written_whole

EIGHT_BITS = ("dynamic", "int8")
QUANTIZE = (None, "float16", *EIGHT_BITS)
UNFIT = {"deblur": EIGHT_BITS, "denoise": ("dynamic",), "inpaint": ("int8",)}
METADATA = "keras_rednet"
OPERATORS = {"CONV_2D", "ADD", "PAD", "DEPTH_TO_SPACE", "RELU", "MINIMUM", "QUANTIZE", "DEQUANTIZE"}
LARGEST, DRAWING = 256, 128  # pixels a side of a calibration image, and of a drawn one
DRAWN, KINDS = 8, 6  # photographs to a drawn picture in the calibration; how many kinds of drawings there are
COVERED = 99.99  # percent of its values lie within the 8-bit range of a feature map, or of a channel
VALUES = 2_000_000  # of a feature map, to take ranges from
WINDOWS = 20_000  # that a kernel reads, to round its weights by
DAMPING = 1e-3  # of the mean moment


def stands(task, quantize):
    """Tells whether the shipped networks of a task are right in a precision, `quantize` of `export_tflite`.

    Those for deblurring are not in 8 bits: where a picture is sharp, their feature maps go too far (recipes/bound.py).
    Denoisers answer hard detail of single pixels, stars or letters, with values far above all others. The steps of
    "dynamic" span what a feature map holds, so noise would stay in the sky around; those of "int8" are calibrated.
    In "int8" those for inpainting lost more than is released (export/parity.py).

    Args:
        task: what the network does, such as "denoise"; for one without shipped networks the answer is always True.
        quantize: None, "float16", "dynamic" or "int8".

    Returns:
        bool.
    """
    return quantize not in UNFIT.get(task, ())


def export_tflite(model, path, *, quantize=None, calibration=None, size=None, metadata=None):
    """Writes a RED-Net as a TFLite file, and its metadata beside it as JSON.

    Args:
        model: a RED-Net, for instance `RED20("denoise", level="jpeg", channels=3, downsample_at=(1,))`.
        path: ends in `.tflite`; it and the `.json` of this name are replaced if they are there.
        quantize: None (float32), "float16" (half the size), "dynamic" (8-bit weights, float32 images) or "int8"
            (8-bit arithmetic; with `size=None` the images are uint8, plain pixels).
        calibration: read for "int8" alone: corrupted images as the network will meet them, an iterable of float32
            [h, w, c] in [0, 1], rounded to 8 bits as pixels are; any sizes, of larger ones the middle 256x256 pixels
            count. Of photographs alone, `with_drawings`.
        size: (height, width) of the images, or None for any size. Browsers and GPU delegates need a fixed one; those
            files take and give float32 whatever `quantize` is.
        metadata: dict of more to write into the metadata: `task`, `level`, `licence` and the like, under none of the
            names of what this function says of the file. Programs that restore pictures need `task` and `color`: "rgb",
            "gray" or "luminance", what the network's channels are.

    Returns:
        dict: the metadata.

    Raises:
        ValueError: a path that does not end in `.tflite` or whose `.json` is the record of weights, an unknown
            `quantize`, no or unusable calibration, a size that is no multiple of `size_multiple(model)`, metadata whose
            `color` is none of the network's number of channels or that would replace the file's own, or a model with
            other layers than a RED-Net's or other than 1 or 3 channels.
        TypeError: metadata that JSON cannot hold; ValueError: it holds NaN or infinity.
        RuntimeError: Keras runs on another backend than TensorFlow, or the converter made operators that interpreters
            do not accelerate.
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"`path` must end in .tflite. Received: path={str(path)!r}.")
    if path.with_suffix(".npz").exists():
        raise ValueError(
            f"{path.with_suffix('.json')} is the record of {path.with_suffix('.npz').name}, and would be replaced by "
            f"the description of the TFLite file: choose another name than {path.name}."
        )
    if quantize not in QUANTIZE:
        raise ValueError(f"`quantize` must be one of {QUANTIZE}. Received: quantize={quantize!r}.")
    require_tensorflow()
    channels = image_channels(model)
    graph = fold(model)
    multiple = size_multiple(model)
    if not (size is None or (np.shape(size) == (2,) and all(_is_side(side, multiple) for side in size))):
        raise ValueError(
            f"`size` must be (height, width), multiples of {multiple} pixels, or None. Received: size={size!r}."
        )
    color = (metadata or {}).get("color")
    if color is not None and CHANNELS.get(color) != channels:
        fitting = [name for name, count in CHANNELS.items() if count == channels]
        raise ValueError(
            f"`color` in the metadata of a network of {channels} channels must be one of {fitting}. "
            f"Received: {color!r}."
        )
    size = None if size is None else tuple(map(int, size))  # JSON takes no NumPy numbers
    described = _description(model, quantize, size)
    described = with_metadata("the file", described, metadata, later=("luminance", "sha256"))
    samples = _samples(calibration, channels, multiple) if quantize == "int8" else None
    path.parent.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    content = _converted(graph, quantize, samples, size)
    if described.get("color") == "luminance":
        described["luminance"] = "Y of ITU-R BT.601, studio range: black is 16/255 and white 235/255"
    content = _with_metadata(content, described)
    described["sha256"] = hashlib.sha256(content).hexdigest()
    with written_whole(path) as file:
        file.write_bytes(content)
        path.with_suffix(".json").unlink(missing_ok=True)  # or a process that is killed leaves it beside another file
    with written_whole(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(described, indent=1) + "\n")
    return described


def _is_side(side, multiple):
    return isinstance(side, int | np.integer) and side >= 1 and side % multiple == 0


def with_drawings(samples, task):
    """Returns calibration images and a drawing to every eight, six at least: letters, lines or stars, white or black.

    Photographs show no detail so hard: calibrated by them alone, the fast RED30 lost 7 dB of a page of letters at sigma
    10, and 0.04 with drawings. For super-resolution none are added: no picture that was enlarged holds such detail.

    Args:
        samples: for `export_tflite`, an iterable of float32 [h, w, c] in [0, 1].
        task: what the network does, such as "denoise" or "super_resolution".

    Returns:
        list: `samples`, then drawings of 128x128 pixels, float32 [128, 128, c], 0 or 1.
    """
    samples = list(samples)
    if task == "super_resolution" or not samples:
        return samples
    return samples + [_drawing(number, samples[0].shape[2]) for number in range(max(KINDS, -(-len(samples) // DRAWN)))]


def _drawing(number, channels):
    random, picture = np.random.default_rng(number), Image.new("L", (DRAWING, DRAWING))
    pen, pitch = ImageDraw.Draw(picture), int(random.integers(5, 13))
    for place in range(0, DRAWING, pitch):
        if number % 3 == 0:
            pen.text((0, place), "".join(random.choice(list(ascii_letters), DRAWING // 4)), 255)
        elif number % 3 == 1:
            pen.line([(0, place), (DRAWING, place)], 255)
        else:
            pen.point([tuple(star) for star in random.integers(0, DRAWING, (2, 2)).tolist()], 255)
    turned = picture.transpose(Image.Transpose.TRANSPOSE) if number % 4 > 1 else picture
    light = np.asarray(turned, np.float32) / 255
    return np.repeat((light if number % 2 else 1 - light)[..., None], channels, axis=2)


def operators(content):
    """Returns how often each operator occurs in a TFLite file, {name: count}.

    Args:
        content: bytes of the file.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    counts = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            counts[name] = counts.get(name, 0) + 1
    return counts


def _converted(graph, quantize, samples, size):
    module = tf.Module()
    module.weights = [variable.value for variable in graph.variables]
    if quantize == "int8":
        pixels, inner = EightBits(0, 1, dtype="float32"), _with_ranges(graph, samples)
    shape = (1, *(size or (None, None)), graph.input_shape[-1])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, "image")])
    def restored(image):
        if quantize == "int8":
            return {"restored": pixels(inner(pixels(image), training=False))}
        return {"restored": tf.minimum(tf.nn.relu(graph(image, training=False)), 1)}

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"restore": restored})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["restore"])
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8" and size is None:
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        content = converter.convert()
    if unknown := set(operators(content)) - OPERATORS:
        raise RuntimeError(f"The converter made operators {sorted(unknown)}. Expected only {sorted(OPERATORS)}.")
    return content


class EightBits(keras.layers.Layer):
    """Rounds to the 256 numbers that represent a range: where the converter finds it, it computes with 8 bits."""

    def __init__(self, least, greatest, **kwargs):
        super().__init__(**kwargs)
        self.least, self.greatest = least, greatest

    def call(self, image):
        return tf.quantization.fake_quant_with_min_max_args(image, self.least, self.greatest)


def _with_ranges(graph, samples):
    """Readies a deployment graph's weights, in place, and returns one that rounds what its layers give to 8 bits.

    The ranges leave out the rarest values. They are a hundredth of a percent but twice as large as the rest, and cost
    every other value a bit: the converter's own calibration, from the least to the greatest, lost 0.36 dB of Set12 at
    sigma 10 with the fast RED30.
    """
    inner = [layer.name for layer in graph.layers[1:] if layer is not graph.layers[-1]]  # not the image or the restored
    values = _values(graph, samples)
    _even_out(graph, values)
    _round_weights(graph, samples)
    tails = {name: np.percentile(values[name], (100 - COVERED, COVERED)) for name in inner}
    ranges = {name: (min(0.0, low), max(1e-3, high)) for name, (low, high) in tails.items()}
    return followed(graph, {name: EightBits(*ends, dtype="float32") for name, ends in ranges.items()})


def _values(graph, samples):
    """Returns what the layers of a graph give at random pixels of the samples, {name: [pixels, channels]}."""
    probe = keras.Model(graph.input, [layer.output for layer in graph.layers])
    random = np.random.default_rng(0)
    values = {layer.name: [] for layer in graph.layers}
    for sample in samples:
        for found, feature_map in zip(values.values(), probe(sample[None], training=False), strict=True):
            pixels = np.reshape(feature_map, (-1, feature_map.shape[-1]))
            found.append(random.choice(pixels, VALUES // len(samples) // pixels.shape[1] + 1))
    return {name: np.concatenate(values.pop(name)) for name in list(values)}  # one after the other, to save memory


def _even_out(graph, values):
    """Divides the channels of each feature map by how large they are; the graph's function stays.

    One range serves all channels of a feature map, so the small ones are left with few steps of it. As rectifiers pass
    a positive factor on, the convolutions after it take it back. (Cross-layer equalization, Nagel et al., arXiv
    1906.04721, which spares the weights half of it. On validation images and at sigma 10 the fast RED30 lost 0.26 dB
    so, and 0.09 as it is done here, when weights were rounded to the nearest number.) Feature maps that are summed
    share their factors. `values` are divided as well.
    """
    sources = _sources(graph)
    groups = {layer.name: frozenset([layer.name]) for layer in graph.layers}
    for layer in graph.layers[1:]:
        if not layer.weights:
            merged = groups[layer.name].union(*(groups[name] for name in sources[layer.name]))
            groups |= dict.fromkeys(merged, merged)
    for group in dict.fromkeys(groups.values()):
        if graph.layers[0].name in group or graph.layers[-1].name in group:
            continue
        readers = [layer for layer in graph.layers[1:] if layer.weights and sources[layer.name][0] in group]
        reach = np.max([np.percentile(np.abs(values[name]), COVERED, axis=0) for name in group], axis=0)
        factors = np.maximum(reach, max(reach.max() / 10, 1e-6))  # the samples may not show how large a channel is
        for name in group:
            values[name] = values[name] / factors
            if parameters := graph.get_layer(name).get_weights():
                repeated = np.tile(factors, len(parameters[1]) // len(factors))  # 4 times for SubpixelConv2D
                graph.get_layer(name).set_weights([parameter / repeated for parameter in parameters])
        for layer in readers:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * factors[:, None], bias])


def _round_weights(graph, samples):
    """Rounds the weights to 8 bits, such that the layers give what they gave on the samples, as nearly as may be.

    What rounding takes on average is added to the biases (Nagel et al., Sec. 4.2). For evened channels: evening changes
    the weights that are rounded. (Rounded to the nearest number, their biases corrected, too, files lost 1.21 times as
    much by the median of their ratios, in 15 of 124 rows less: parity.csv of commits 4a318c0 and 84ba92a^.)
    """
    for name, (mean, moments) in _read(graph, samples).items():
        kernel, bias = graph.get_layer(name).get_weights()
        weights = kernel.reshape(len(mean), -1)
        rounded = _rounded(weights, moments)
        graph.get_layer(name).set_weights([rounded.reshape(kernel.shape), bias + mean @ (weights - rounded)])


def _read(graph, samples):
    """Returns the means of what the kernels of a graph read at random places of the samples, and of its products.

    For kernels [h, w, c, filters], {name: ([h * w * c], [h * w * c, h * w * c])}.
    """
    sources = {name: source for name, (source, *_) in _sources(graph).items() if graph.get_layer(name).weights}
    probe = keras.Model(graph.input, [graph.get_layer(source).output for source in sources.values()])
    random, count = np.random.default_rng(0), WINDOWS // len(samples) + 1
    sums = {name: [0, 0] for name in sources}
    for sample in samples:
        for name, feature_map in zip(sources, probe(sample[None], training=False), strict=True):
            height, width = graph.get_layer(name).kernel.shape[:2]
            padded = np.pad(feature_map[0], ((height // 2, height // 2), (width // 2, width // 2), (0, 0)))
            rows, columns = random.integers(0, feature_map.shape[1:3], (count, 2)).T
            windows = [padded[rows + i, columns + j] for i in range(height) for j in range(width)]
            values = np.concatenate(windows, axis=1).astype(np.float64)
            sums[name][0] += values.sum(0)
            sums[name][1] += values.T @ values
    return {name: [total / (count * len(samples)) for total in totals] for name, totals in sums.items()}


def _rounded(weights, moments):
    """Rounds weights to the 255 numbers that represent each filter's range, where the converter finds them.

    One after the other: those still to come make up for the error so far. (Frantar et al., arXiv 2210.17323, GPTQ.)

    Args:
        weights: float32 [n, filters].
        moments: float64 [n, n], means of the products of the values that are weighted.
    """
    step = np.maximum(np.abs(weights).max(0), 1e-9) / 127
    largest = np.abs(weights).argmax(0)  # tells the converter the step, so it stays
    moments = moments + np.eye(len(moments)) * (DAMPING * np.trace(moments) / len(moments) + 1e-12)
    errors = np.linalg.cholesky(np.linalg.inv(moments)).T
    rounded = weights.astype(np.float64)
    for i, share in enumerate(errors):
        wanted = rounded[i].copy()
        rounded[i] = np.where(largest == i, weights[i], np.clip(np.rint(wanted / step), -127, 127) * step)
        rounded[i + 1 :] -= np.outer(share[i + 1 :] / share[i], wanted - rounded[i])
    return rounded.astype(np.float32)


def _sources(graph):
    """Returns the names of the layers that each layer of a graph but the first reads, {name: [name, ...]}."""
    givers = {layer.output.name: layer.name for layer in graph.layers}
    return {
        layer.name: [givers[tensor.name] for tensor in keras.tree.flatten(layer.input)] for layer in graph.layers[1:]
    }


def _samples(calibration, channels, multiple):
    """Returns the calibration images, cropped to what the graph takes."""
    if calibration is None:
        raise ValueError("`calibration` must be corrupted images when quantize='int8'. Received: None.")
    samples = []
    for image in calibration:
        image = np.asarray(image, np.float32)
        if image.ndim != 3 or image.shape[2] != channels or min(image.shape[:2]) < multiple:
            raise ValueError(
                f"`calibration` must hold images [h, w, {channels}] of at least {multiple}x{multiple} pixels. "
                f"Received: shape={image.shape}."
            )
        if not (image.min() >= 0 and image.max() <= 1):
            raise ValueError(
                "`calibration` must hold values in [0, 1]: other ranges spoil the quantization. "
                f"Received: {image.min():.3g} to {image.max():.3g}."
            )
        rows, columns = (_middle(side, multiple) for side in image.shape[:2])
        samples.append(image[rows, columns])
    if not samples:
        raise ValueError("`calibration` must hold at least an image. Received: none.")
    return samples


def _middle(side, multiple):
    kept = min(side, LARGEST) // multiple * multiple
    return slice((side - kept) // 2, (side - kept) // 2 + kept)


def _description(model, quantize, size):
    integers = quantize == "int8" and size is None
    return {
        "signature": "restore",
        "input": "image",
        "output": "restored",
        "channels": model.input_shape[-1],
        "type": "uint8" if integers else "float32",
        "value_range": [0, 255] if integers else [0, 1],
        "precision": quantize or "float32",
        "size": list(size) if size else None,
        "size_multiple": size_multiple(model),
        "padding": "reflect at the bottom and right, crop the result",
        "halo": halo(model),
        "values_per_pixel": values_per_pixel(model),
        "parameters": model.count_params(),
    }


def _with_metadata(content, described):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(json.dumps(described).encode(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = METADATA.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    model.description = b"RED-Net by keras_rednet"
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
