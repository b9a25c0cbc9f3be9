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

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from keras_rednet.fold import fold
from keras_rednet.model import receptive_radius, size_multiple
from keras_rednet.saved_model import require_tensorflow
from keras_rednet.weights import written_whole

QUANTIZE = (None, "float16", "dynamic", "int8")
METADATA = "keras_rednet"
OPERATORS = {"CONV_2D", "ADD", "PAD", "DEPTH_TO_SPACE", "RELU", "MINIMUM", "QUANTIZE", "DEQUANTIZE"}


def export_tflite(model, path, *, quantize=None, calibration=None, size=None, metadata=None):
    """Writes a RED-Net as a TFLite file, and its metadata beside it as JSON.

    Args:
        model: a RED-Net, for instance `RED30(task="denoise")`.
        path: ends in `.tflite`; replaced if it is there.
        quantize: None (float32), "float16" (half the size), "dynamic" (8-bit weights, float32 images) or "int8"
            (8-bit arithmetic; with `size=None` the images are uint8, plain pixels).
        calibration: for "int8", corrupted images as the network will meet them, an iterable of float32 [h, w, c] in
            [0, 1], rounded to 8 bits as pixels are; any sizes, cropped to the multiple or to `size`.
        size: (height, width) of the images, or None for any size. Browsers and GPU delegates need a fixed one; those
            files take and give float32 whatever `quantize` is.
        metadata: dict of more to write into the metadata: task, level, licence and the like.

    Returns:
        dict: the metadata.

    Raises:
        ValueError: an unknown `quantize`, no or unusable calibration, or a size that is no multiple of
            `size_multiple(model)`.
        RuntimeError: Keras runs on another backend than TensorFlow, or the converter made operators that interpreters
            do not accelerate.
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"`path` must end in .tflite. Received: path={str(path)!r}.")
    if quantize not in QUANTIZE:
        raise ValueError(f"`quantize` must be one of {QUANTIZE}. Received: quantize={quantize!r}.")
    require_tensorflow()
    multiple = size_multiple(model)
    if size is not None and (len(size) != 2 or any(side < 1 or side % multiple for side in size)):
        raise ValueError(
            f"`size` must be (height, width), multiples of {multiple} pixels, or None. Received: size={size!r}."
        )
    samples = _samples(calibration, model.input_shape[-1], multiple, size) if quantize == "int8" else None
    content = _converted(model, quantize, samples, size)
    described = {**_description(model, quantize, size), **(metadata or {})}
    content = _with_metadata(content, described)
    described["sha256"] = hashlib.sha256(content).hexdigest()
    with written_whole(path) as file:
        file.write_bytes(content)
    with written_whole(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(described, indent=1) + "\n")
    return described


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


def _converted(model, quantize, samples, size):
    graph = fold(model)
    module = tf.Module()
    module.weights = [variable.value for variable in graph.variables]
    shape = (1, *(size or (None, None)), model.input_shape[-1])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, "image")])
    def restored(image):
        return {"restored": tf.minimum(tf.nn.relu(graph(image, training=False)), 1)}

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"restore": restored})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["restore"])
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            converter.representative_dataset = lambda: (("restore", {"image": sample[None]}) for sample in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            if size is None:
                converter.inference_input_type = converter.inference_output_type = tf.uint8
        content = converter.convert()
    content = _without_minimum(content) if quantize == "int8" else content
    if unknown := set(operators(content)) - OPERATORS:
        raise RuntimeError(f"The converter made operators {sorted(unknown)}. Expected only {sorted(OPERATORS)}.")
    return content


def _without_minimum(content):
    """Lets the last sum write what the minimum with 1 writes: 8-bit numbers of that range end at 1 by themselves.

    No accelerated kernel takes an 8-bit minimum, so it would cut the network into pieces.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (graph,) = model.subgraphs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    (minimum,) = (o for o in graph.operators if codes[o.opcodeIndex] == schema.BuiltinOperator.MINIMUM)
    (total,) = (o for o in graph.operators if o.outputs[0] == minimum.inputs[0])
    total.outputs = minimum.outputs
    graph.operators.remove(minimum)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _samples(calibration, channels, multiple, size):
    """Returns the calibration images, cropped to what the graph takes."""
    if calibration is None:
        raise ValueError("`calibration` must be corrupted images when quantize='int8'. Received: None.")
    samples = []
    for image in calibration:
        image = np.asarray(image, np.float32)
        height, width = size or (side // multiple * multiple for side in image.shape[:2])
        fits = image.ndim == 3 and image.shape[2] == channels and min(height, width) > 0
        if not fits or image.shape[0] < height or image.shape[1] < width:
            wanted = f"{height}x{width}" if size else f"{multiple}x{multiple}"
            raise ValueError(
                f"`calibration` must hold images [h, w, {channels}] of at least {wanted} pixels. "
                f"Received: shape={image.shape}."
            )
        if not (image.min() >= 0 and image.max() <= 1):
            raise ValueError(
                "`calibration` must hold values in [0, 1]: other ranges spoil the quantization. "
                f"Received: {image.min():.3g} to {image.max():.3g}."
            )
        samples.append(image[:height, :width])
    if not samples:
        raise ValueError("`calibration` must hold at least an image. Received: none.")
    return samples


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
        "halo": -(-receptive_radius(model) // size_multiple(model)) * size_multiple(model),
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
