"""Restores photographs with RED-Net (Mao, Shen and Yang, arXiv 1606.08921) in Keras 3.

>>> import keras_rednet
>>> keras_rednet.REDNet(10, skips=None).count_params()
296641
"""

import importlib
import sys

__version__ = "0.1.0"

_MODULES = {
    "RED10": "model",
    "RED20": "model",
    "RED30": "model",
    "REDNet": "model",
    "restore": "restoration",
    "upscale": "restoration",
    "load_tflite": "litert",
    "export_saved_model": "saved_model",
    "export_tflite": "tflite",
    "evaluate": "evaluation",
    "Protocol": "evaluation",
    "psnr": "metrics",
    "ssim": "metrics",
    "corruptions": None,
    "metrics": None,
}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name):  # Keras and TensorFlow are imported when a name is first used, not by `rednet --help`
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name] or name}")
    return getattr(module, name) if _MODULES[name] else module


if "keras" in sys.modules:  # then importing these costs nothing, and `keras.models.load_model` knows what they register
    importlib.import_module(f"{__name__}.model")  # it imports the others


def __dir__():
    return sorted(__all__)
