"""Runs TFLite files of RED-Nets by LiteRT, which with 8-bit weights restores some three times as fast as TensorFlow.

It computes on the processor and clips what it restores to [0, 1].
"""

import hashlib
import json
import os
import struct
import tempfile
import threading
from pathlib import Path

import numpy as np

from keras_rednet.restoration import Deployed

METADATA = b"keras_rednet"
IDENTIFIER = b"TFL3"  # bytes 4 to 7 of a TFLite file


def load_tflite(path, *, threads=None):
    """Returns the network of a TFLite file, for `restore` and `upscale`.

    Args:
        path: of a file that `export_tflite` wrote for images of any size. Those of int8 round floats to 8 bits.
        threads: how many processor threads it uses; by default as many as TF_NUM_INTRAOP_THREADS says, or all.

    Returns:
        Deployed: what `restore` takes in place of a model.

    Raises:
        ValueError: no such TFLite file, a damaged one, or one for images of a fixed size.
        OSError: the file cannot be read.
        ImportError: LiteRT is not installed.
    """
    network, _ = read_tflite(path, threads=threads)
    return network


def read_tflite(path, *, threads=None):
    """Returns (network, metadata) of a TFLite file; arguments and errors as `load_tflite`."""
    path = Path(path)
    content = path.read_bytes()
    beside = path.with_suffix(".json")
    expected = _sha256(beside) if beside.is_file() else None
    received = hashlib.sha256(content).hexdigest()
    if expected not in (None, received):
        raise ValueError(f"{path} is damaged: its sha256 should be {expected}. Received: {received}.")
    metadata = _metadata(path, content)
    if metadata["size"]:
        raise ValueError(f"{path} is for images of {metadata['size']} pixels. Expected: a file for any size.")
    return _deployed(content, metadata, threads), metadata


def to_litert(model, *, quantize="dynamic"):
    """Returns a RED-Net as `restore` takes it, converted for LiteRT; some seconds.

    Args:
        model: a RED-Net.
        quantize: None (float32), "float16" or "dynamic" (8-bit weights, arithmetic of 8 bits where the processor has
            it), as `export_tflite` takes it.
    """
    from keras_rednet.tflite import export_tflite

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        export_tflite(model, path, quantize=quantize)
        return load_tflite(path)


def _deployed(content, metadata, threads):
    from ai_edge_litert.interpreter import Interpreter

    threads = threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)  # Keras' engine goes by that
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    interpreter = Interpreter(model_content=content, num_threads=threads or processors)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner(metadata["signature"])
    integers = metadata["type"] == "uint8"
    turn = threading.Lock()  # an interpreter has one place for its image

    def restored(image):
        image = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8) if integers else image
        with turn:
            values = runner(image=image)["restored"]
        return values / np.float32(255) if integers else values

    return Deployed(
        run=lambda images: np.concatenate([restored(image[None]) for image in images]),
        channels=metadata["channels"],
        size_multiple=metadata["size_multiple"],
        halo=metadata["halo"],
        values_per_pixel=metadata["values_per_pixel"],
        eight_bits=integers,
    )


def _sha256(path):
    """Returns the hash that the JSON file beside a TFLite file names, if any."""
    try:
        return json.loads(path.read_text()).get("sha256")
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not the JSON file that `export_tflite` wrote beside its file: {error}") from None


def require_litert():
    """Returns LiteRT's module of how files are made up; raises ImportError where LiteRT is not installed."""
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise ImportError('LiteRT is not installed: pip install "keras_rednet[litert]".') from None
    return schema_py_generated


def _metadata(path, content):
    schema = require_litert()
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"{path} is no TFLite file.")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no TFLite file: {error}") from None
    for entry in model.metadata or []:
        if entry.name == METADATA:
            try:
                metadata = json.loads(bytes(model.buffers[entry.buffer].data))
                sides = [metadata["size_multiple"] > 0, metadata["halo"] >= 0, metadata["values_per_pixel"] > 0]
                known = metadata["signature"] == "restore" and metadata["type"] in ("float32", "uint8")
                if known and metadata["channels"] in (1, 3) and "size" in metadata and all(sides):
                    return metadata
            except (LookupError, TypeError, ValueError):
                pass
            raise ValueError(f"{path} is damaged: its metadata describe no network. Export it anew.")
    raise ValueError(f"{path} has no metadata of keras_rednet. Expected: a file that `export_tflite` wrote.")
