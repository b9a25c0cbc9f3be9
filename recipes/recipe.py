"""What a training run is: one frozen object, so that a mistyped setting fails when it is written."""

import dataclasses
import warnings

from keras_rednet import weights
from keras_rednet.corruptions import Quantization, Sometimes
from keras_rednet.metrics import negative_psnr
from keras_rednet.model import BUILDERS, REDNet
from recipes.grow import add_color, grow, shrink

HALF_ROUNDED = Sometimes(Quantization(), 0.5)  # patches as 8-bit files have them
SPEEDS = {(): "", (1,): "-fast"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one training run.

    Args:
        task, level, depth, channels, filters, downsample_at: the network, as RED10, RED20 and RED30 take them.
        corruption: what the network learns to undo (keras_rednet.corruptions).
        validation: corruptions of fixed strength, by name, that are scored after epochs on the validation images.
        color: "gray", "luminance" or "rgb".
        patch_size: side of a training patch, in pixels.
        patches_per_image: patches from each image in an epoch; an epoch ends with a backup.
        scale_range: by how much images are resized before patches are cut, see `dataset.training_patches`.
        contrast_range: by how much the contrast of patches changes, see there too.
        grain_range: of the grain that clean patches get, see there too.
        batch_size: patches per step.
        epochs: length of the run; the cosine schedule ends there.
        learning_rate: of Adam, after the warm-up.
        warmup_steps: steps of linear warm-up.
        cosine: True decays the rate to zero by the end, False keeps it.
        loss: a Keras loss, by name ("mse" is Eq. 4 of the paper), or a function as Keras takes it.
        clipnorm: limit of the global gradient norm, or None.
        activation_limit: above which feature maps are penalized (recipes/bound.py), or None.
        eight_bits: True rounds feature maps while training, for int8 files (recipes/eight_bits.py). Or None.
        ema_momentum: of the moving average of weights that is validated and kept, or None.
        precision: a Keras dtype policy, "float32" or "mixed_bfloat16".
        start_from: weights to start from: shipped ones by name, with or without the version, or the path of a run's
            weights.npz. Their dead feature maps are redrawn (recipes/revive.py); RED20's grow into RED30's,
            which shrink to RED20's, and a gray network's are taken for colour (recipes/grow.py). None starts afresh.
        teacher: weights, named as in `start_from`, of a better network for the same task and images: training leaves
            out most of the error that it makes too (recipes/distill.py). Or None. The loss must be `negative_psnr`.
        teacher_orientations: 1 to 8, over which it averages: more make it better, and each takes its time. None for 1.
        architecture: None for RED10, RED20 or RED30, or a dict of other arguments of `REDNet`, for ablations.
        seed: of the initial weights, and with `start_from` of patches and corruptions.
        validate_every: epochs between validations.
    """

    task: str
    level: object
    depth: int
    channels: int
    corruption: object
    validation: dict
    color: str
    filters: int = 64
    downsample_at: tuple = ()
    patch_size: int = 96
    patches_per_image: int = 8
    scale_range: tuple = (1.0, 1.0)
    contrast_range: tuple = (1.0, 1.0)
    grain_range: tuple = (0.0, 0.0)
    batch_size: int = 4
    epochs: int = 28
    learning_rate: float = 1e-3
    warmup_steps: int = 500
    cosine: bool = True
    loss: object = "mae"
    clipnorm: float | None = 1.0
    activation_limit: float | None = None
    eight_bits: bool | None = None
    ema_momentum: float | None = 0.995
    precision: str = "mixed_bfloat16"
    start_from: str | None = None
    teacher: str | None = None
    teacher_orientations: int | None = None
    architecture: dict | None = None
    seed: int = 1
    validate_every: int = 2

    @property
    def name(self):
        """What its weights are called, without their version: "red30-fast-denoise-blind-gray"."""
        return stem({field: getattr(self, field) for field in NETWORK})

    def build(self):
        """Returns the network with its initial weights."""
        options = {"channels": self.channels, "filters": self.filters, "downsample_at": self.downsample_at}
        if self.architecture is None:
            model = BUILDERS[self.depth](self.task, level=self.level, weights=None, **options)
        else:
            model = REDNet(self.depth, **options, **self.architecture)
        if self.start_from is not None:
            self._start(model)
        return model

    def build_teacher(self):
        """Returns the teacher, in the current dtype policy.

        Raises:
            ValueError: it is for another task or number of channels, or the loss is none that a teacher serves.
        """
        recipe = record_of(self.teacher)["recipe"]
        expected, received = ((x["task"], x["channels"]) for x in (vars(self), recipe))
        if expected != received:
            raise ValueError(
                f"A teacher must be for (task, channels) = {expected}. Received: {received}; choose another."
            )
        if self.loss is not negative_psnr:
            raise ValueError(f"A teacher needs a recipe with the loss `negative_psnr`. Received: loss={self.loss!r}.")
        size = {"depth": recipe["depth"], "filters": recipe["filters"], "downsample_at": tuple(recipe["downsample_at"])}
        return dataclasses.replace(self, **size, start_from=self.teacher, architecture=None).build()

    def _start(self, model):
        record = record_of(self.start_from)
        depth, strides = record["recipe"]["depth"], tuple(record["downsample_at"])
        if strides != tuple(self.downsample_at):
            warnings.warn(
                f"{self.start_from} is down-sampled at {strides}, this network at {tuple(self.downsample_at)}: its "
                "feature maps mean little here. Start from weights of the same, if that is not meant.",
                stacklevel=3,
            )
        if record["recipe"]["channels"] == 1 < self.channels:
            add_color(dataclasses.replace(self, channels=1).build(), model)
        elif depth != self.depth:
            other = dataclasses.replace(self, depth=depth).build()
            grow(other, model) if depth < self.depth else shrink(other, model)
        elif _is_run(self.start_from):
            weights.load_file(model, self.start_from)
        else:
            weights.load(model, self.start_from)

    def smoke(self):
        """Returns the same recipe made small: two short epochs of a few narrow feature maps."""
        small = {"filters": 4, "patch_size": 32, "patches_per_image": 4, "batch_size": 2, "warmup_steps": 2}
        return dataclasses.replace(self, **small, epochs=2, start_from=None, teacher=None, teacher_orientations=None)


def _is_run(start_from):
    return str(start_from).endswith(".npz")


def record_of(start_from):
    """Returns the record of weights, named as in `start_from`."""
    return weights.read_record(start_from) if _is_run(start_from) else weights.record(start_from)


NETWORK = ("depth", "task", "level", "filters", "downsample_at", "channels")


def stem(network):
    """Returns the name of a network, a dict of `NETWORK`, that is part of the names of recipes and weights."""
    job = f"{network['task'].replace('_', '-')}-{network['level']}-"
    return architecture(network, job)


def architecture(network, job=""):
    """Returns what a network's name says of its size, and so of its speed, whatever it is trained for."""
    strides = tuple(network["downsample_at"])
    speed = SPEEDS.get(strides, "-down" + "-".join(map(str, strides)))
    wide = f"-{network['filters']}" if network["filters"] != 64 else ""
    return f"red{network['depth']}{speed}{wide}-{job}{ {1: 'gray', 3: 'color'}[network['channels']] }"


def ladder(recipe):
    """Returns {name: recipe} for RED10, RED20 and RED30, each whole and down-sampled at its first convolution."""
    rungs = [dataclasses.replace(recipe, depth=depth, downsample_at=at) for depth in BUILDERS for at in SPEEDS]
    return {rung.name: rung for rung in rungs}
