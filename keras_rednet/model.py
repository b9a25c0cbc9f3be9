"""RED-Net as code: convolutions, mirrored deconvolutions and the sums between them (Figure 1 of the paper).

Images are float32, [n, h, w, c], clean ones in [0, 1]. "Sec.", "Eq." and "Table" mean Mao, Shen and Yang,
arXiv 1606.08921.
"""

import numbers

import keras
from keras import layers, ops

from keras_rednet import fold, metrics  # noqa: F401  registers what a saved model may hold
from keras_rednet import weights as pretrained

SKIPS = ("symmetric", "residual", None)
DECODERS = ("deconv", "conv")
TASK_CHANNELS = {"denoise": 1, "super_resolution": 1, "deblock": 1, "deblur": 3, "inpaint": 3}
TASK_LEVELS = {
    "denoise": (10, 30, 50, 70, "jpeg", "blind"),
    "super_resolution": (2, 3, 4, "jpeg", "blind"),
    "deblock": (10, 20, "blind"),
    "deblur": ("disk", "gaussian", "motion"),
    "inpaint": ("text", "scratch"),
}


def RED10(task="denoise", *, level="blind", channels=None, filters=64, downsample_at=(), weights="pretrained"):
    """Five convolutions and five deconvolutions without inner skips (Sec. 5). Arguments as in `RED30`."""
    return _red(10, None, task, level, channels, filters, downsample_at, weights)


def RED20(task="denoise", *, level="blind", channels=None, filters=64, downsample_at=(), weights="pretrained"):
    """Ten convolutions and ten deconvolutions, a skip every two layers (Sec. 5). Arguments as in `RED30`."""
    return _red(20, "symmetric", task, level, channels, filters, downsample_at, weights)


def RED30(task="denoise", *, level="blind", channels=None, filters=64, downsample_at=(), weights="pretrained"):
    """Restores an image with fifteen convolutions and fifteen deconvolutions, a skip every two layers (Sec. 5).

    Args:
        task: "denoise", "super_resolution", "deblock", "deblur" or "inpaint".
        level: how strong the corruption is; "blind" is one network for all. denoise: 10, 30, 50, 70 (sigma, 8-bit
            units), "jpeg" (any sigma, and noise that a JPEG stored) or "blind"; super_resolution: 2, 3, 4
            (scale), "jpeg" (any scale, of small pictures that a JPEG stored; 3 channels) or "blind"; deblock: 10, 20
            (JPEG quality) or "blind"; deblur: "disk", "gaussian" or "motion"; inpaint: "text" or "scratch".
        channels: 1 (gray or luminance) or 3 (RGB). None takes the task's own: 1 for denoise, super_resolution and
            deblock, 3 for deblur and inpaint.
        filters: feature maps of every inner layer: 64 in the paper's tables, 128 in the authors' released network.
        downsample_at: convolutions with stride 2; `(1,)` is the fast variant of Sec. 4.5, about four times as fast, and
            the only one that is shipped for other tasks than denoise.
        weights: "pretrained", None for a fresh network, or the path of a `.npz` that `weights.save` wrote or of a
            `.weights.h5` or `.keras` of the same network.

    Returns:
        keras.Model: input `corrupted` [n, h, w, channels] float32 in [0, 1], any size; output `restored`, same
        shape, not clipped.

    Raises:
        ValueError: an unknown task or level, bad sizes, or no such pretrained weights; the message lists those there
            are.

    Example:
        >>> model = RED30(task="denoise", downsample_at=(1,), weights=None)
        >>> model.count_params()
        1035201
    """
    return _red(30, "symmetric", task, level, channels, filters, downsample_at, weights)


BUILDERS = {10: RED10, 20: RED20, 30: RED30}


def _red(depth, skips, task, level, channels, filters, downsample_at, weights):
    if task not in TASK_CHANNELS:
        raise ValueError(f"`task` must be one of {sorted(TASK_CHANNELS)}. Received: task={task!r}.")
    if level not in TASK_LEVELS[task]:
        raise ValueError(f"`level` of {task!r} must be one of {TASK_LEVELS[task]}. Received: level={level!r}.")
    channels = TASK_CHANNELS[task] if channels is None else channels
    downsample_at = _layer_numbers(downsample_at, depth // 2)
    build = {"filters": filters, "downsample_at": downsample_at, "channels": channels}
    model = REDNet(depth, skips=skips, **build)
    if weights == "pretrained":
        pretrained.load(model, pretrained.find(depth=depth, task=task, level=level, **build))
    elif weights is not None:
        pretrained.load_file(model, weights)
    return model


def REDNet(
    depth,
    *,
    filters=64,
    kernel_size=3,
    skip_step=2,
    downsample_at=(),
    channels=1,
    skips="symmetric",
    decoder="deconv",
):
    """Builds a RED-Net with fresh weights: the mirrored auto-encoder of Sec. 3 with all that Sec. 4 and 5.1 vary.

    The last layer starts at zero, so a fresh network returns its input.

    Layers are named `conv1`..`convN`, `deconv1`..`deconvN` (N = depth / 2), `skipK` (the sum that lands on deconvK),
    `corrupted` (the input) and `restored` (the last sum, which adds the input: Sec. 3.4). That last sum is float32
    under mixed precision too.

    Args:
        depth: convolutions and deconvolutions together, an even number.
        filters: feature maps of every inner layer (Fig. 9).
        kernel_size: odd side of every kernel, in pixels (Fig. 10).
        skip_step: a skip every so many layers (Fig. 12); none where these are half of the depth or more.
        downsample_at: convolutions with stride 2, whose mirrored deconvolutions up-sample again (Sec. 4.5).
        channels: channels of the image, 1 or more.
        skips: "symmetric" adds conv k to deconv N-k, before each ReLU (Sec. 3.3); "residual" adds each block of
            `skip_step` layers its own input, as He et al. do (Sec. 4.4; a block that changes the resolution has no
            skip); None has no inner skips.
        decoder: "deconv", or "conv" for the fully convolutional comparison of Sec. 3.2, Fig. 2.

    Returns:
        keras.Model: `corrupted` [n, h, w, channels] float32 -> `restored`, the same shape. With down-sampling the
        input is reflected up to a multiple of the total stride and the residual cropped, so any size works. To load
        one that was saved as `.keras`, import keras and then keras_rednet: it registers its layers and metrics.

    Raises:
        ValueError: an argument out of range; the message says what was expected.

    Example:
        >>> REDNet(20, filters=64).count_params()
        665921
    """
    _check_builder_arguments(depth, filters, kernel_size, skip_step, channels, skips, decoder)
    depth, filters, kernel_size, skip_step, channels = map(int, (depth, filters, kernel_size, skip_step, channels))
    half = depth // 2
    downsample_at = _layer_numbers(downsample_at, half)
    if decoder == "conv" and downsample_at:
        raise ValueError(
            "A decoder of convolutions cannot up-sample: use decoder='deconv', or downsample_at=(). "
            f"Received: decoder={decoder!r}, downsample_at={downsample_at!r}."
        )
    strides = {i: 2 for k in downsample_at for i in (k, depth + 1 - k)}  # conv k and its mirror
    sources = _skip_sources(skips, half, skip_step, strides)
    decoder_layer = layers.Conv2DTranspose if decoder == "deconv" else layers.Conv2D

    corrupted = keras.Input((None, None, channels), dtype="float32", name="corrupted")
    x = PadToMultiple(2 ** len(downsample_at), name="pad")(corrupted) if downsample_at else corrupted
    outputs = {}
    for i in range(1, depth + 1):  # 1..half are the convolutions, half+1..depth the deconvolutions
        layer, name = (layers.Conv2D, f"conv{i}") if i <= half else (decoder_layer, f"deconv{i - half}")
        linear = i == depth or (skips == "residual" and i in sources)  # He et al. rectify a block after its sum only
        x = layer(
            channels if i == depth else filters,
            kernel_size,
            strides=strides.get(i, 1),
            padding="same",
            data_format="channels_last",
            activation=None if linear else "relu",
            kernel_initializer="zeros" if i == depth else _initializer(layer, after_sum=i - 1 in sources),
            name=name,
        )(x)
        if i in sources:
            skip = f"skip{i - half}" if i > half else f"skip_conv{i}"
            x = layers.Add(name=skip)([outputs[sources[i]], x])
            x = layers.ReLU(name=f"{skip}_relu")(x)  # Eq. 3
        outputs[i] = x
    residual = CropLike(name="crop")([x, corrupted]) if downsample_at else x
    restored = layers.Add(name="restored", dtype="float32")([corrupted, residual])
    return keras.Model(corrupted, restored, name=f"red{depth}")


def _skip_sources(skips, half, step, strides):
    """Returns {layer: the earlier layer whose output is added to its own}, numbered 1..2*half."""
    if skips == "symmetric":
        return {2 * half - k: k for k in range(step, half, step)}
    if skips == "residual":
        ends = range(1 + step, 2 * half, step)
        return {i: i - step for i in ends if not any(j in strides for j in range(i - step + 1, i + 1))}
    return {}


def _initializer(layer, after_sum):
    """He's variance-preserving normal; half of it behind a sum, whose two addends have doubled the variance.

    Without the halving, RED30's seven sums add up to residuals of a standard deviation of 5 to 12.
    """
    fan_in = "fan_out" if layer is layers.Conv2DTranspose else "fan_in"  # its kernel is [k, k, out, in]
    scale = 1.0 if after_sum else 2.0
    return keras.initializers.VarianceScaling(scale, mode=fan_in, distribution="untruncated_normal")


@keras.saving.register_keras_serializable(package="keras_rednet")
class PadToMultiple(layers.Layer):
    """Extends an image at the bottom and right until both sides are multiples of `multiple`.

    By reflection; by repeating the last row or column where a side is too small to reflect. A transposed convolution
    gives an even size only: cropping its output to an odd one instead would shift it by a pixel.
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, image):  # [n, h, w, c] -> [n, h', w', c]
        for axis in (1, 2):
            size = ops.shape(image)[axis]
            padded = -(-size // self.multiple) * self.multiple
            index = ops.arange(padded)
            mirrored = ops.minimum(index, 2 * (size - 1) - index)
            clamped = ops.minimum(index, size - 1)
            image = ops.take(image, ops.where(size > padded - size, mirrored, clamped), axis=axis)
        return image

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        h, w = (None if side is None else -(-side // self.multiple) * self.multiple for side in (h, w))
        return n, h, w, c

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="keras_rednet")
class CropLike(layers.Layer):
    """Cuts the first image, [n, h', w', c], at the bottom and right to the height and width of the second."""

    def call(self, images):
        image, like = images
        shape = ops.shape(like)
        return image[:, : shape[1], : shape[2]]

    def compute_output_shape(self, input_shapes):
        (n, _, _, c), (_, h, w, _) = input_shapes
        return n, h, w, c


def size_multiple(model):
    """Returns the total stride of a RED-Net: the sizes, in pixels, that it processes without padding."""
    multiple = 1
    for layer in model.layers:
        if layer.name.startswith("conv"):
            multiple *= layer.strides[0]
    return multiple


def receptive_radius(model):
    """Returns how far, in pixels, an input pixel can be from an output pixel that it influences.

    10, 20 and 30 for RED10, RED20 and RED30 (3x3 kernels); an upper bound with down-sampling, where a strided
    layer reaches to one side only.
    """
    radius, pixels = 0, 1  # `pixels`: input pixels per feature-map pixel
    for layer in model.layers:
        if layer.name.startswith("conv"):
            radius += layer.kernel_size[0] // 2 * pixels * layer.strides[0]
            pixels *= layer.strides[0]
        elif layer.name.startswith("deconv"):
            radius += layer.kernel_size[0] // 2 * pixels
            pixels //= layer.strides[0]
    return radius


def halo(model):
    """Returns the receptive radius rounded up to a multiple of the total stride, in pixels: what tiles overlap by."""
    multiple = size_multiple(model)
    return -(-receptive_radius(model) // multiple) * multiple


def image_channels(model):
    """Returns how many channels the images of a RED-Net have, 1 or 3; ValueError if they are others."""
    shape = getattr(model, "input_shape", None)  # of several inputs a list
    if not (isinstance(shape, tuple) and len(shape) == 4):
        raise ValueError(f"`model` must have one input of images, as a RED-Net has. Received: input shape {shape}.")
    if shape[-1] not in (1, 3):
        raise ValueError(f"`model` must have 1 or 3 channels. Received: {shape[-1]} channels.")
    return shape[-1]


def values_per_pixel(model):
    """Returns how many values the largest feature maps have for each pixel of the image."""
    filters = max(layer.filters for layer in model.layers if layer.name.startswith("conv"))
    return filters / model.get_layer("conv1").strides[0] ** 2


def followed(model, followers):
    """Returns a network that shares the layers of another, some of which are followed by others.

    Args:
        model: a functional keras.Model.
        followers: {name of a layer but the input: layer that takes what it gives}.

    Returns:
        keras.Model: with the inputs of `model`, not compiled.

    Raises:
        ValueError: the model has no layer of such a name, or it is the input.
    """
    names = {layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)}
    if strange := followers.keys() - names:
        raise ValueError(
            f"`followers` must be for layers of the model but its input. Received: {', '.join(sorted(strange))}."
        )

    def call(layer, *args, **kwargs):
        result = layer(*args, **kwargs)
        return followers[layer.name](result) if layer.name in followers else result

    model = keras.Model(model.input, model.output, name=model.name)  # not compiled, which would be cloned too
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _layer_numbers(downsample_at, half):
    at = (downsample_at,) if isinstance(downsample_at, numbers.Integral) else tuple(downsample_at)
    if len(set(at)) != len(at) or not all(isinstance(k, numbers.Integral) and 1 <= k <= half for k in at):
        raise ValueError(
            f"`downsample_at` must hold distinct convolutions, each from 1 to {half}. "
            f"Received: downsample_at={downsample_at!r}."
        )
    return tuple(sorted(map(int, at)))


def _check_builder_arguments(depth, filters, kernel_size, skip_step, channels, skips, decoder):
    if not _positive(depth) or depth % 2:
        raise ValueError(f"`depth` must be an even number of layers, at least 2. Received: depth={depth!r}.")
    if not _positive(kernel_size) or kernel_size % 2 == 0:
        raise ValueError(f"`kernel_size` must be an odd number of pixels. Received: kernel_size={kernel_size!r}.")
    for name, value in (("filters", filters), ("skip_step", skip_step), ("channels", channels)):
        if not _positive(value):
            raise ValueError(f"`{name}` must be an integer of at least 1. Received: {name}={value!r}.")
    if skips not in SKIPS:
        raise ValueError(f"`skips` must be one of {SKIPS}. Received: skips={skips!r}.")
    if decoder not in DECODERS:
        raise ValueError(f"`decoder` must be one of {DECODERS}. Received: decoder={decoder!r}.")


def _positive(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
