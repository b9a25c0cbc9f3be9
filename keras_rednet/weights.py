"""Shipped weights: a name leads to a record, the record to a file and its hash, the file into a model.

`pretrained/weights.json` holds a record per file: what it was trained on, by which recipe, and what it scores. Files
are `.npz` without pickled objects, float16 on disk and float32 in the model.
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
import zipfile
import zlib
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PRETRAINED = Path(__file__).parent / "pretrained"
WEIGHTLESS = ("InputLayer", "Add", "ReLU", "PadToMultiple", "CropLike")
PART = ".part-"  # how the name of an unfinished file begins: then process, machine and a checksum, see `part_of`
PARTS = re.compile(re.escape(PART) + r"(\d+)-([0-9a-f]+)-[0-9a-f]+(\..*)?")
LONG_AGO = 24 * 3600  # seconds; no file takes so long to write
BOOT = Path("/proc/sys/kernel/random/boot_id")  # another one at each start of a Linux machine
RECORD_KEYS = ("recipe", "commit", "training_images", "validation_images", "patches", "validation_psnr")


def records():
    """Returns the records of all shipped weights: {name: dict}."""
    return json.loads((PRETRAINED / "weights.json").read_text())


def find(*, depth, task, level, channels, filters, downsample_at):
    """Returns the name of the shipped weights of a network, described as RED10, RED20 and RED30 take it.

    Raises:
        ValueError: there are none; the message lists those there are.
    """
    wanted = {"depth": depth, "task": task, "level": level, "channels": channels, "filters": filters}
    wanted["downsample_at"] = list(downsample_at)
    shipped = records()
    for name, record in shipped.items():
        if record["network"] == wanted:
            return name
    listed = "".join(f"\n  {name}: {_call(record['network'])}" for name, record in sorted(shipped.items()))
    raise ValueError(
        f"There are no pretrained weights for {_call(wanted)}. Pass weights=None to train your own, or take one of:"
        f"{listed or ' (none yet)'}"
    )


def record(name):
    """Returns the record of the shipped weights `name`; without its "-v1" that means the version that is shipped.

    Raises:
        ValueError: unknown name.
    """
    return records()[versioned(name)]


def load(model, name):
    """Puts the shipped weights `name` into `model`; without its "-v1" that means the version that is shipped.

    Raises:
        ValueError: unknown name, a damaged file (hash), or a network of another shape.
    """
    name = versioned(name)
    _assign(model, _shipped(name), name)


def check(name):
    """Raises ValueError or OSError unless the shipped weights `name` are there and whole."""
    _shipped(versioned(name))


def load_file(model, path):
    """Puts the weights of a file into `model`: a `.npz` of `save`, or `.weights.h5` or `.keras` of the same network.

    A `.weights.h5` does not tell where its network was down-sampled, or which layers its skips joined: that they are
    the same is not checked.

    Raises:
        ValueError: no such file, another kind of file, a damaged file, or a network of another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            "`weights` must be 'pretrained', None or the path of a file. "
            f"Received: weights={str(path)!r}, no such file."
        )
    if path.suffix == ".npz":
        record = read_record(path) if path.with_suffix(".json").exists() else {}
        _require_wiring(path, model, record)
        _assign(model, _read_npz(path, record.get("sha256")), path)
    elif path.name.endswith((".weights.h5", ".keras")):
        try:
            if path.suffix == ".keras":
                _require_network(path, model)
            model.load_weights(path)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise ValueError(f"{path} is damaged, or cannot be read: {error}") from error
    else:
        raise ValueError(f"A file of weights must end in .npz, .weights.h5 or .keras. Received: {path.name!r}.")


def read_record(path):
    """Returns the record that `save` wrote beside the `.npz` file `path`.

    Raises:
        ValueError: there is no such file or record, or it is damaged.
    """
    beside = Path(path).with_suffix(".json")
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file.")
    try:
        record = json.loads(beside.read_text())
        if not isinstance(record, dict):
            raise ValueError(f"it holds a {type(record).__name__}")
        if not isinstance(record.get("recipe"), dict):
            raise ValueError("it holds no recipe")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} needs its record, {beside.name}, beside it, as `save` writes it: {error}") from error
    return record


def save(model, path, record):
    """Writes the weights of `model` as float16 `.npz`, and their record as `.json` beside it.

    Args:
        model: a RED-Net.
        path: ends in `.npz`.
        record: dict of how the weights came to be, with at least `RECORD_KEYS`; what can be computed (parameters,
            downsample_at, skips, sha256) is added.

    Raises:
        ValueError: the record lacks a key or holds what JSON cannot, a weight is not finite in float16, or the model is
            no RED-Net itself. Nothing is written then.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"`path` must end in .npz. Received: path={str(path)!r}.")
    missing = [key for key in RECORD_KEYS if key not in record]
    if missing:
        raise ValueError(f"`record` must say where the weights come from. Missing: {missing}.")
    variables = _variables(model)
    if not hasattr(model, "inputs"):
        raise ValueError(f"`model` must be a RED-Net, as REDNet() builds it. Received: {type(model).__name__}.")
    described = {**record, "parameters": model.count_params(), **_wiring(model)}
    try:
        json.dumps(described)
    except TypeError as error:
        raise ValueError(f"`record` must hold what JSON can: numbers and text of Python's own. {error}.") from error
    with np.errstate(over="ignore"):  # an overflow is reported below, by name
        arrays = {name: variable.numpy().astype(np.float16) for name, variable in variables.items()}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(f"Weights must be finite in float16. Received infinite or NaN values in: {broken}.")
    with written_whole(path) as temporary:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        described["sha256"] = _sha256(temporary)
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(described, indent=1))


@contextlib.contextmanager
def written_whole(path):
    """Yields a temporary path beside `path`; it is renamed to `path` once the block has ended without error.

    By then it is on the disk, so that a power failure leaves no half of it. What killed processes of this machine left
    in the folder is removed when a process first writes there, and that of others after a day.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = part_of(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path, *, wait):
    """A context in which one process at a time is, by a lock on the file `path`, which stays.

    Without `wait` it raises BlockingIOError where another is in it. Where locks are not known, many may be.
    """
    with Path(path).open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:  # a file system that knows none
                pass
        yield


def part_of(path):
    """Returns where to make what will be the file or folder `path`, beside it; killed processes' ones are removed."""
    _remove_parts(path.parent)
    name = zlib.crc32(os.fsencode(path.name))  # the name itself may be as long as a name can be
    return path.with_name(f"{PART}{os.getpid()}-{_machine()}-{name:08x}{path.suffix}")


def is_stray(path):
    """Tells whether a file is one that `written_whole` has not finished, or in which macOS keeps what another has."""
    return path.name.startswith("._") or bool(PARTS.fullmatch(path.name))


@functools.cache
def _machine():
    """Returns what stands in the names of unfinished files for a machine, or a container, that counts its processes."""
    processes = os.readlink("/proc/self/ns/pid") if os.path.lexists("/proc/self/ns/pid") else ""
    started = BOOT.read_text() if BOOT.exists() else uuid.getnode()  # many machines have one name
    return f"{zlib.crc32(f'{platform.node()} {processes} {started}'.encode()):08x}"


@functools.cache  # a folder may hold millions of files
def _remove_parts(folder):
    for part in folder.glob(f"{PART}*-*-*"):
        ours = PARTS.fullmatch(part.name)
        with contextlib.suppress(OSError):  # another process may do the same, or it is another user's
            if ours and (_has_ended(*ours.groups()[:2]) or time.time() - part.stat().st_mtime > LONG_AGO):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def _has_ended(process, machine):
    return machine == _machine() and not _is_running(process)


def _is_running(process):
    if os.name != "posix" or not process.isdecimal():
        return True  # who knows
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def versioned(name):
    """Returns the name of shipped weights with its "-v1", of one with or without; ValueError for an unknown one."""
    shipped = records()
    name = next((full for full in shipped if full.rpartition("-v")[0] == name), name)
    if name not in shipped:
        raise ValueError(f"`name` must be one of {sorted(shipped)}. Received: name={name!r}.")
    return name


def about(name, record):
    """Returns what a file that was made from weights, of this name and record, says of itself: a dict for JSON."""
    recipe, keys = record["recipe"], ("task", "level", "color")
    if missing := [key for key in keys if key not in recipe]:
        raise ValueError(f"The record of {name} must say what its network restores. Missing in its recipe: {missing}.")
    origin = {"weights": name, "weights_sha256": record.get("sha256"), "licence": record.get("licence")}
    return {key: recipe[key] for key in keys} | origin


def _shipped(name):
    return _read_npz(PRETRAINED / f"{name}.npz", records()[name]["sha256"])


def _read_npz(path, sha256):
    if sha256 is not None and (found := _sha256(path)) != sha256:
        raise ValueError(
            f"{path} and its record do not belong together: expected sha256 {sha256}, received {found}. Wait until a "
            "run that writes it is done with that, or restore the file, which is damaged, from its source."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a file of weights that `save` wrote: {error}") from error


def _assign(model, arrays, source):
    variables = _variables(model)
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    received = {name: array.shape for name, array in arrays.items()}
    if expected != received:
        names = sorted(name for name in expected.keys() | received.keys() if expected.get(name) != received.get(name))
        first = names[0]
        raise ValueError(
            f"{source} holds the weights of another network: {len(names)} arrays differ, first {first!r}, "
            f"expected {expected.get(first)}, received {received.get(first)}."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))


def _variables(model):
    named = [(f"{layer.name}/{variable.name}", variable) for layer in model.layers for variable in layer.variables]
    variables = dict(named)
    if len(variables) < len(named):
        raise ValueError(
            "`model` must be a RED-Net itself, not one that holds a RED-Net, whose weights have no names of their own. "
            f"Received: {model.name}, with the layers {[layer.name for layer in model.layers][:5]}."
        )
    return variables


def _require_wiring(path, model, received):
    """Raises ValueError where a file is of a network whose arrays only have the same shapes."""
    for option, expected in _wiring(model).items():
        if received.get(option, expected) != expected:
            raise ValueError(
                f"{path} holds the weights of another network: expected {option}={expected}, received "
                f"{received[option]}. Build the network with the {option} of its weights."
            )


def _wiring(model):
    """Returns what the shapes of a network's weights do not tell: where it is down-sampled, what its skips add up."""
    return _described(json.loads(model.to_json()))


def _require_network(path, model):
    """Raises ValueError where a `.keras` file holds another network than `model`; Keras goes by the order of layers."""
    with zipfile.ZipFile(path) as file:
        config = json.loads(file.read("config.json"))
    received, expected = (_with_weights(network) for network in (config, json.loads(model.to_json())))
    if received != expected:
        differing = [pair for pair in zip([*expected, None], [*received, None], strict=False) if len(set(pair)) == 2]
        raise ValueError(
            f"{path} holds the weights of another network: expected {len(expected)} layers, received {len(received)}; "
            f"the first that differs is {differing[0][1]} in place of {differing[0][0]}."
        )
    _require_wiring(path, model, _described(config))


def _with_weights(config):
    """Returns the names of a network's layers, but for those without weights, from what Keras writes of it."""
    layers = config["config"].get("layers", [])
    return [layer["config"]["name"] for layer in layers if layer["class_name"] not in WEIGHTLESS]


def _described(config):
    """Returns the wiring of a network from what Keras writes of it."""
    layers = config["config"]["layers"]
    strided = [
        layer["config"]["name"]
        for layer in layers
        if layer["config"]["name"].startswith("conv") and layer["config"]["strides"][0] == 2
    ]
    sums = [layer for layer in layers if layer["class_name"] == "Add" and layer["config"]["name"] != "restored"]
    skips = {layer["config"]["name"]: " + ".join(_sources(layer)) for layer in sums}
    return {"downsample_at": [int(name[4:]) for name in strided], "skips": skips}


def _sources(layer):
    (tensors,) = layer["inbound_nodes"][0]["args"]
    return [tensor["config"]["keras_history"][0] for tensor in tensors]


def _sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _call(network):
    options = {"level": network["level"], "channels": network["channels"]}
    options |= {"downsample_at": tuple(network["downsample_at"])} if network["downsample_at"] else {}
    options |= {"filters": network["filters"]} if network["filters"] != 64 else {}
    listed = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"RED{network['depth']}(task={network['task']!r}, {listed})"
