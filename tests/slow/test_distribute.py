"""Training on several devices and processes takes the steps of one, and outlives the death of a process."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

PHOTOS = 9  # one of them is held out
RUN = """
import contextlib, dataclasses, hashlib, sys
backend, data, out, devices, coordinator, processes, process = sys.argv[1:]
if backend == "tensorflow" and int(devices) > 1:
    import tensorflow as tf
    configuration = [tf.config.LogicalDeviceConfiguration()] * int(devices)
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], configuration)
from recipes import distribute, train
recipe = train.RECIPES["red10-fast-denoise-blind-gray"].smoke()
changes = {"precision": "float32", "filters": 8, "batch_size": 4, "epochs": 4, "clipnorm": 1e-3, "learning_rate": 1e-3}
recipe = dataclasses.replace(recipe, **changes)
several = int(processes) > 1
with distribute.joined(coordinator, int(processes), int(process)) if several else contextlib.nullcontext():
    model = train.train(recipe, *train.split([data]), out)
print("replicas", distribute.replicas())
print("hash", hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


@pytest.fixture(scope="module")
def data(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for i in range(PHOTOS):
        with Image.open(photos / f"photo{i % 6}.png") as photo:
            photo.rotate(i // 6 * 180).save(folder / f"{i}.png")
    return folder


def start(data, out, backend="jax", devices=1, coordinator="", processes=1, process=0):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": backend}
    if backend == "jax":
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    arguments = [backend, data, out, devices, coordinator, processes, process]
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def start_two(data, out):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    return [start(data, out, "jax", 1, coordinator, 2, process) for process in range(2)]


def end(*processes):
    """Returns what the first one printed; all of them must have ended well."""
    try:
        outputs = [process.communicate(timeout=500) for process in processes]
    finally:
        for process in processes:  # one that has lost its partner may hang, and not listen to SIGTERM
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-2000:]
    return outputs[0][0]


def history(out):
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row["loss"]), float(row["validation_mean"] or 0)] for row in rows])


@pytest.fixture(scope="module")
def single(data, tmp_path_factory):
    """Folders of runs on one device, by backend."""
    pytest.importorskip("jax")
    folders = {backend: tmp_path_factory.mktemp(backend) / "run" for backend in ("jax", "tensorflow")}
    for backend, out in folders.items():
        assert "replicas 1" in end(start(data, out, backend))
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_two_devices_of_one_process(single, data, tmp_path, backend):
    assert "replicas 2" in end(start(data, tmp_path / "run", backend, devices=2))
    np.testing.assert_allclose(history(tmp_path / "run"), history(single[backend]), rtol=1e-4)


@pytest.fixture(scope="module")
def whole(single, data, tmp_path_factory):
    """What the first of two processes printed that trained to the end."""
    out = tmp_path_factory.mktemp("two") / "whole"
    printed = end(*start_two(data, out))
    assert "replicas 2" in printed
    np.testing.assert_allclose(history(out), history(single["jax"]), rtol=1e-4)
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_processes_one_of_which_dies(victim, whole, data, tmp_path):
    processes = start_two(data, tmp_path / "killed")
    deadline = time.monotonic() + 300
    while not (tmp_path / "killed" / "backup" / "2.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    processes[victim].send_signal(signal.SIGKILL)
    processes[victim].communicate()
    survivor = processes[1 - victim]
    errors = survivor.communicate(timeout=60)[1]  # JAX itself takes 80 seconds, and ends in a C++ stack trace
    assert survivor.returncode != 0
    if victim:  # without the coordinator, process 0, JAX ends the others itself
        assert survivor.returncode == 1
        assert "start all of them again" in errors
    left = int(next((tmp_path / "killed" / "backup").glob("*.npz")).stem)
    assert 2 <= left < 4, "the run ended before it could be killed"
    resumed = end(*start_two(data, tmp_path / "killed"))
    assert resumed.splitlines()[-1] == whole.splitlines()[-1]
    assert re.search("hash [0-9a-f]{64}", whole)


@pytest.mark.slow
def test_two_devices_of_tensorflow_go_on_after_a_kill(data, tmp_path):
    whole = end(start(data, tmp_path / "whole", "tensorflow", devices=2))
    killed = start(data, tmp_path / "killed", "tensorflow", devices=2)
    deadline = time.monotonic() + 300
    while not (tmp_path / "killed" / "backup" / "2.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = int(next((tmp_path / "killed" / "backup").glob("*.npz")).stem)
    assert 2 <= left < 4, "the run ended before it could be killed"
    resumed = end(start(data, tmp_path / "killed", "tensorflow", devices=2))
    assert resumed.splitlines()[-1] == whole.splitlines()[-1]
    assert re.search("hash [0-9a-f]{64}", whole)


@pytest.mark.slow
def test_processes_with_different_images_are_refused(data, photos, tmp_path):
    pytest.importorskip("jax")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    runs = [start(folder, tmp_path / "run", "jax", 1, coordinator, 2, i) for i, folder in enumerate((data, photos))]
    errors = [run.communicate(timeout=100)[1] for run in runs]
    assert all(run.returncode != 0 for run in runs)
    assert "the same training images" in errors[1]
