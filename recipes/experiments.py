"""The experiments of Section 5 of the paper: which images are corrupted how, and how a restored one is scored.

Test images lie in one folder: set5, set12, set14, bsd68, classic5 and live1, as the testsets of cszn/DnCNN on GitHub
have them, bsds500 (train, val, test; BIDS/BSDS500 there), and some of denoise_ncsr12 and denoise_bm3d11, images that
NCSR and BM3D come with (ngcthuong/Image-Denoising-Benchmark). CBSD68 are those of bsds500/val that cbsd68.csv names
beside BSD68's. BSD100 is bsds500/val; BSD200 is bsds500/test, at half size where Table 2 denoises it, which is inferred
from the 160x240 pixels of Sec. 4.5. Which 14 images Tables 1 and 3 denoise is not known: Classic16 are the sixteen that
others use, Set12's and four more.
"""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from keras_rednet import dataset
from keras_rednet.evaluation import Protocol
from keras_rednet.photos import COLORS
from recipes import csv_table, deblock, deblur, denoise, inpaint, super_resolution

FOLDERS = {
    "Set5": "set5",
    "Set12": "set12",
    "Classic16": "set12",
    "Set14": "set14",
    "BSD68": "bsd68",
    "CBSD68": "bsds500/val",
    "BSD100": "bsds500/val",
    "BSD200": "bsds500/test",
    "BSD200 full size": "bsds500/test",
    "LIVE1": "live1",
    "LIVE1 colour": "live1",
    "Classic5": "classic5",
}
CLASSIC = ("denoise_ncsr12/fingerprint.tif", "denoise_ncsr12/hill.tif", "denoise_ncsr12/straw.tif",
           "denoise_bm3d11/montage.png")  # fmt: skip
IN_PAPER = {"Classic16": "14 images"}  # what the paper calls image sets, or those most alike that we have


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One corruption of some image sets, and the protocols by which each is scored.

    Args:
        task: of the networks.
        level: as in the tables, "30" or "text 10".
        network_level: of the networks made for it; blind ones, and those for JPEGs, are scored as well.
        channels: of the networks; where gray ones restore planes of colour, these are scored as well.
        corruption: what corrupts the images.
        protocols: tuple of `Protocol`, which differ in what is cut off before scoring.
        sets: names of image sets, keys of `FOLDERS`.
    """

    task: str
    level: str
    network_level: object
    channels: int
    corruption: object
    protocols: tuple
    sets: tuple

    def fits(self, network):
        """Tells whether a network, a dict as in the record of shipped weights, is to be scored."""
        levels = (self.network_level, "blind", "jpeg")
        channels = (self.channels, 1) if self.task in COLORS else (self.channels,)  # of colour those for gray do planes
        return network["task"] == self.task and network["channels"] in channels and network["level"] in levels


def _experiments():
    gray, color = ("Set12", "Classic16", "BSD68", "BSD200"), ("CBSD68",)
    for sigma, noise in denoise.NOISE.items():
        yield Experiment("denoise", str(sigma), sigma, 1, noise, (Protocol(color="gray"),), gray)
        yield Experiment("denoise", str(sigma), sigma, 3, noise, (Protocol(color="rgb"),), (*color, "BSD200 full size"))
    for level, noise in denoise.ROUNDED.items():
        yield Experiment("denoise", level, "blind", 1, noise, (Protocol(color="gray"),), ("BSD68",))
        yield Experiment("denoise", level, "blind", 3, noise, (Protocol(color="rgb"),), color)
    for level, noise in denoise.AS_JPEG.items():
        yield Experiment("denoise", level, "jpeg", 3, noise, (Protocol(color="rgb"),), color)
    for level, resample in (super_resolution.SCALES | super_resolution.ROUNDED).items():
        scale = int(str(level).split()[0])
        paper = Protocol(color="luminance", multiple=scale)
        protocols = paper, dataclasses.replace(paper, shave=scale)
        sets = ("Set5", "Set14", "BSD100")
        yield Experiment("super_resolution", str(level), scale, 1, resample, protocols, sets)
    for level, resample in super_resolution.AS_JPEG.items():
        protocols = (Protocol(color="rgb", multiple=int(level.split()[0])),)
        yield Experiment("super_resolution", level, "jpeg", 3, resample, protocols, ("LIVE1 colour",))
    for quality, jpeg in deblock.QUALITIES.items():
        protocols = (Protocol(color="luminance"),)
        yield Experiment("deblock", str(quality), quality, 1, jpeg, protocols, ("LIVE1", "Classic5"))
        yield Experiment("deblock", str(quality), quality, 3, jpeg, (Protocol(color="rgb"),), ("LIVE1 colour",))
    for kernel, blur in deblur.BLURS.items():
        sets = ("LIVE1", "Set14", "BSD200 full size")
        yield Experiment("deblur", kernel, kernel, 3, blur, (Protocol(color="rgb"),), sets)
    for level, overlay in (inpaint.TEXT.validation | inpaint.SCRATCH.validation).items():
        network_level = level.split()[0]
        yield Experiment("inpaint", level, network_level, 3, overlay, (Protocol(color="rgb"),), ("LIVE1",))


EXPERIMENTS = tuple(_experiments())


def images(data, name, color):
    """Yields (file name, clean float32 [h, w, c]) of an image set in the folder `data`."""
    for path in image_paths(data, name):
        pixels = dataset.read_image(path, color=color)
        yield path.name, (_half(pixels) if name == "BSD200" else pixels).astype(np.float32) / 255


def image_paths(data, name):
    """Returns the paths of an image set in the folder `data`."""
    paths = dataset.list_images(Path(data) / FOLDERS[name])
    if name == "CBSD68":
        chosen = {row["BSDS500 val"] for row in csv_table.read(Path(__file__).parent / "cbsd68.csv")}
        paths = [path for path in paths if path.name in chosen]
    if name == "Classic16":
        paths += [Path(data) / path for path in CLASSIC]
    return paths


def _half(pixels):
    """Shrinks a gray image by two, bicubic and rounded."""
    image = Image.fromarray(pixels[..., 0])
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC))[..., None]
