"""Killed at any moment, restoring and training leave no half-written file and go on to the same result."""

import csv
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from test_hostile import tiny_weights  # noqa: F401  a fixture
from test_recipes import epochs_of

PICTURES, KILLS = 40, 12
TRAINING_KILLS = 6
RUN = """
import sys
from recipes import train
run = train.RECIPES["red10-fast-denoise-blind-gray"].smoke()
import dataclasses
run = dataclasses.replace(run, epochs=4, patches_per_image=16)
model = train.train(run, *train.split([sys.argv[1]]), sys.argv[2])
import hashlib
print("hash", hashlib.sha1(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest())
"""


def run_in_background(photos, out, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, str(photos), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **options)


@pytest.mark.slow
def test_restoring_a_folder(tiny_weights, photos, tmp_path):  # noqa: F811
    source = tmp_path / "in"
    source.mkdir()
    for i in range(PICTURES):
        with Image.open(photos / f"photo{i % 6}.png") as photo:
            photo.resize((700 + i, 500), Image.Resampling.BICUBIC).save(source / f"{i:02}.png")
    command = [sys.executable, "-m", "keras_rednet.cli", "denoise", str(source), "--weights", str(tiny_weights)]
    subprocess.run([*command, "-o", str(tmp_path / "whole")], check=True)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    out, rounds = tmp_path / "out", []
    while not out.exists() or len([path for path in out.iterdir() if path.name in expected]) < PICTURES:
        assert len(rounds) < 10 * KILLS
        process = subprocess.Popen([*command, "-o", str(out), "--resume"], stdout=subprocess.PIPE)
        process.stdout.readline()  # it has begun to restore
        time.sleep(random.Random(len(rounds)).uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        there = {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".part-")}
        assert all(expected[name] == content for name, content in there.items())
        rounds.append(len(there))
        if len(rounds) >= KILLS:
            subprocess.run([*command, "-o", str(out), "--resume"], check=True)
    assert sorted(rounds) == rounds
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected
    print(f"killed {len(rounds)} times, with so many pictures done: {rounds}")


@pytest.mark.slow
def test_training(photos, tmp_path):
    whole = run_in_background(photos, tmp_path / "whole").communicate(timeout=300)[0].splitlines()[-1]
    done = []
    for kill in range(TRAINING_KILLS):
        process = run_in_background(photos, tmp_path / "killed")
        if not kill:
            process.stdout.readline()  # an epoch has ended
        time.sleep(random.Random(kill).uniform(0, 0.4 if not kill else 6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done.append(epochs_of(tmp_path / "killed"))
    resumed = run_in_background(photos, tmp_path / "killed").communicate(timeout=300)[0].splitlines()
    assert done[0] < 4, "the first run ended before it could be killed"
    assert "epoch 1/4" not in resumed[0]
    assert resumed[-1] == whole
    assert "hash" in whole
    assert [path.name for path in (tmp_path / "killed" / "backup").iterdir()] == ["4.npz"]
    histories = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "killed")]
    losses = [[row["loss"] for row in csv.DictReader(lines)] for lines in histories]
    assert losses[0] == losses[1]
    print(f"killed {TRAINING_KILLS} times, with so many epochs done: {done}")


@pytest.mark.slow
def test_training_on_a_full_disk(photos, tmp_path):
    whole = run_in_background(photos, tmp_path / "whole").communicate(timeout=300)[0].splitlines()[-1]
    process = run_in_background(photos, tmp_path / "full", stderr=subprocess.PIPE)
    while not (tmp_path / "full" / "history.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2000, 2000))  # bytes a file may have from now on
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert "File too large" in errors
    assert not list((tmp_path / "full").rglob(".part-*"))
    resumed = run_in_background(photos, tmp_path / "full").communicate(timeout=300)[0].splitlines()[-1]
    assert resumed == whole
