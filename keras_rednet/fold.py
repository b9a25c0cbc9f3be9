"""The deployment graph: the same function as a trained RED-Net, with plain convolutions only.

A deconvolution of stride 1 is a convolution with the flipped kernel; one of stride 2 is a convolution to four times the
channels whose output is interleaved (depth to space). Interpreters run these several times as fast as transposed
convolutions, and export them without shape arithmetic. What is left out: the rectification after a sum of rectified
maps (an identity), and size handling: sides must be multiples of `model.size_multiple`.
"""

import re

import keras
import numpy as np
from keras import layers, ops

PARAMETERLESS = {"pad": "PadToMultiple", "crop": "CropLike"}  # of keras_rednet.model; left out


def fold(model, dtype="float32"):
    """Returns the deployment graph of a RED-Net.

    Args:
        model: a network of `REDNet`, RED10, RED20 or RED30, of any variant.
        dtype: the dtype policy by which the layers compute, but for the last sum, which is float32.

    Returns:
        keras.Model: `corrupted` [n, h, w, c] float32 in [0, 1], h and w multiples of `size_multiple(model)`, ->
        `restored`, the same shape; equal to the model's to the rounding of the dtype.

    Raises:
        ValueError: the model has other layers than a RED-Net, or more than one input or output.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "`model` must have an input and an output, as a RED-Net has. "
            f"Received: {len(model.inputs)} inputs, {len(model.outputs)} outputs."
        )
    for layer in model.layers:
        if not _is_known(layer):
            raise ValueError(
                "`model` must hold the layers of a RED-Net only, as of others it is not known how far they look. "
                f"Received: {layer.name}, {type(layer).__name__}."
            )
    rectified = {layer.name for layer in model.layers if getattr(layer, "activation", None) is keras.activations.relu}

    def folded_layer(layer):
        if isinstance(layer, layers.Conv2DTranspose):
            return _convolution(layer, dtype)
        policy = "float32" if layer.name == "restored" else dtype
        config = layer.get_config() | {"dtype": policy, "trainable": True}
        return layer.__class__.from_config({key: config[key] for key in config if not key.startswith("lora_")})

    def call(layer, *args, **kwargs):
        if layer.name == "pad":
            return args[0]
        if layer.name == "crop":
            return args[0][0]
        summed = layer.name.removeprefix("skip").removesuffix("_relu")  # "13" or "_conv3"
        if layer.name.endswith("_relu") and f"deconv{summed}" in rectified:
            return args[0]
        return layer(*args, **kwargs)

    uncompiled = keras.Model(model.input, model.output, name=model.name)  # or the clone would be compiled like it
    folded = keras.models.clone_model(uncompiled, clone_function=folded_layer, call_function=call)
    copy_weights(model, folded)
    return folded


def _is_known(layer):
    """Tells whether a layer is one of `REDNet`'s, whose names and strides `model.halo` counts."""
    kind = type(layer).__name__
    if layer.name in PARAMETERLESS:
        return kind == PARAMETERLESS[layer.name]
    if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
        strides = set(layer.strides) <= {1, 2} and len(set(layer.strides)) == 1
        square = len(set(layer.kernel_size)) == 1 and layer.kernel_size[0] % 2
        plain = layer.padding == "same" and layer.use_bias and set(layer.dilation_rate) == {1}
        return bool(re.fullmatch(r"(de)?conv\d+", layer.name) and strides and square and plain)
    return isinstance(layer, layers.InputLayer | layers.Add | layers.ReLU)


def copy_weights(model, folded):
    """Puts the weights of `model` into its deployment graph `folded`."""
    for layer in model.layers:
        if not layer.weights:
            continue
        target = folded.get_layer(layer.name)
        kernel, bias = (ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))  # LoRA's part, too
        if isinstance(layer, layers.Conv2DTranspose):
            kernel = _phases(kernel, layer.strides[0])[0]
            bias = np.tile(bias, layer.strides[0] ** 2)
        target.set_weights([kernel, bias])


@keras.saving.register_keras_serializable(package="keras_rednet")
class SubpixelConv2D(layers.Conv2D):
    """A convolution whose 4 * c channels become the 2x2 pixels of c channels: [n, h, w, _] -> [n, 2h, 2w, c].

    Args:
        before, after: zero rows and columns put before and after the image, in pixels.
    """

    def __init__(self, *args, before, after, **kwargs):
        super().__init__(*args, **kwargs, padding="valid")
        self.before, self.after = before, after

    def call(self, image):
        border = (self.before, self.after)
        image = ops.pad(image, ((0, 0), border, border, (0, 0)))
        return ops.depth_to_space(super().call(image), 2, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        n, h, w, _ = input_shape
        return n, h and 2 * h, w and 2 * w, self.filters // 4

    def get_config(self):
        config = {**super().get_config(), "before": self.before, "after": self.after}
        del config["padding"]
        return config


def _convolution(deconv, dtype):
    kernel, before, after = _phases(ops.convert_to_numpy(deconv.kernel), deconv.strides[0])
    filters, size = kernel.shape[-1], kernel.shape[0]
    options = {"activation": deconv.activation, "data_format": deconv.data_format, "name": deconv.name}
    options["dtype"] = dtype
    if deconv.strides[0] == 1:
        return layers.Conv2D(filters, size, padding="same", **options)
    return SubpixelConv2D(filters, size, before=before, after=after, **options)


def _phases(kernel, stride):
    """Turns a deconvolution's kernel into a convolution's.

    Output pixel `stride * m + phase` of a 'same' deconvolution is the sum over d of input pixel m - d times tap
    `stride * d + phase + pad`; each phase becomes output channels of its own.

    Args:
        kernel: [k, k, out, in], Keras' order for a transposed convolution.
        stride: 1 or 2.

    Returns:
        (kernel [s, s, in, stride * stride * out], rows before, rows after).
    """
    k, _, out, into = kernel.shape
    pad = max(k - stride, 0) // 2
    reach = [(d, phase, stride * d + phase + pad) for d in range(-k, k + 1) for phase in range(stride)]
    taps = [(d, phase, tap) for d, phase, tap in reach if 0 <= tap < k]
    before, after = max(d for d, _, _ in taps), -min(d for d, _, _ in taps)
    size = before + after + 1
    folded = np.zeros((size, size, into, stride, stride, out), kernel.dtype)
    for dy, phase_y, tap_y in taps:
        for dx, phase_x, tap_x in taps:
            folded[before - dy, before - dx, :, phase_y, phase_x] = kernel[tap_y, tap_x].T
    return folded.reshape(size, size, into, stride * stride * out), before, after
