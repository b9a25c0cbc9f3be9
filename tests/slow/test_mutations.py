"""Ten thousand damaged pictures: each is restored whole or named, and the next one still is."""

import collections
import subprocess
import sys

import hostile_pictures
import numpy as np
import pytest
from PIL import Image
from test_hostile import tiny_weights  # noqa: F401  a fixture

from keras_rednet.cli import main

BATCHES, FILES = 20, 500  # in this process
COMMANDS, FILES_EACH = 10, 30  # by the command


def write(folder, count, random):
    """Writes damaged pictures into a new folder and returns how many of each format, by name."""
    folder.mkdir()
    kinds, files = collections.Counter(), hostile_pictures.sound()
    for i in range(count):
        name, content = hostile_pictures.mutated(files, random)
        (folder / f"{i}-{name}").write_bytes(content)
        kinds[name] += 1
    return kinds


def check(source, out, printed, errors):
    """Every file is reported once, and exactly those that are reported as restored are there, whole."""
    restored = {line.split(" -> ")[0].rpartition("/")[2] for line in printed.splitlines()}
    failed = [line for line in errors.splitlines() if line.startswith(f"rednet: {source}/")]
    assert len(restored) + len(failed) == len(list(source.iterdir())), errors
    assert errors.count("\n") <= len(failed) + 1, errors
    assert {path.name for path in out.iterdir()} == restored
    for path in out.iterdir():
        with Image.open(path) as picture:
            picture.load()
    return len(restored), len(failed)


@pytest.mark.slow
def test_in_one_process(tiny_weights, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500_000)  # refuses twice as many: none is that large, if sound
    random, kinds, totals = np.random.default_rng(0), collections.Counter(), np.zeros(2, int)
    for i in range(BATCHES):
        source, out = tmp_path / f"in{i}", tmp_path / f"out{i}"
        kinds += write(source, FILES, random)
        main(["denoise", str(source), "-o", str(out), "--weights", str(tiny_weights)])
        captured = capsys.readouterr()
        totals += check(source, out, captured.out, captured.err)
    assert totals.sum() == BATCHES * FILES
    assert totals.min() > 500  # neither all too good nor all too bad
    with capsys.disabled():
        print(f"\n{totals[0]} restored, {totals[1]} named, by kind of file:", dict(kinds))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(COMMANDS))
def test_by_the_command(seed, tiny_weights, tmp_path):  # noqa: F811
    source, out = tmp_path / "in", tmp_path / "out"
    write(source, FILES_EACH, np.random.default_rng(1000 + seed))
    command = [sys.executable, "-m", "keras_rednet.cli", "denoise", source, "-o", out, "--weights", tiny_weights]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    restored, failed = check(source, out, done.stdout, done.stderr)
    assert restored
    assert failed
