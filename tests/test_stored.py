import itertools
import shutil

import numpy as np

from keras_rednet import weights
from keras_rednet.pictures import read_picture
from recipes import csv_table, stored


def test_the_results_belong_to_the_shipped_files():
    rows = csv_table.read(stored.RESULTS)
    assert len(rows) == 2 * (len(stored.LEVELS) * len(stored.COLORS) - 1) * len(stored.QUALITIES)
    assert all(weights.records()[row["weights"]]["sha256"] == row["sha256"] for row in rows)


def test_rednet_takes_the_network_that_is_better_on_files_that_were_stored_so(tmp_path):
    groups = {}
    for row in csv_table.read(stored.RESULTS):
        scores = groups.setdefault((row["task"], row["quality"], row["color"]), {True: 0, False: 0})
        scores["-jpeg-" in row["weights"]] += float(row["psnr"])
    assert groups
    for (task, quality, color), scores in groups.items():
        file = stored.Stored(int(quality), color).file(np.zeros((9, 9, 1 if color == "gray" else 3)))
        (tmp_path / "photo.jpg").write_bytes(file.getvalue())
        picture = read_picture(tmp_path / "photo.jpg")
        taken = picture.blotchy if task == "denoise" else picture.blocky
        assert scores[taken] > scores[not taken], (task, quality, color)


def test_scores_both_networks_on_what_a_file_held(tmp_path, photos, monkeypatch):
    shutil.copytree(photos, tmp_path / "live1")
    (tmp_path / "README.md").write_text(
        "<!-- stored: written by `python -m recipes.stored` -->\n<!-- end of stored -->"
    )
    monkeypatch.setattr(stored.tables, "RESULTS", tmp_path)
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "stored.csv")
    monkeypatch.setattr(stored, "SIDE", 32)
    monkeypatch.setattr(stored, "LEVELS", (("denoise", 30), ("super_resolution", 2)))
    monkeypatch.setattr(stored, "QUALITIES", (90,))
    stored.main(["--data", str(tmp_path)])
    rows = csv_table.read(tmp_path / "stored.csv")
    cases = [*itertools.product(["denoise"], stored.COLORS)]
    cases += itertools.product(["super_resolution"], stored.COLORS[1:])
    assert [(row["task"], row["color"], "-jpeg-" in row["weights"]) for row in rows] == [
        (*case, jpeg) for case in cases for jpeg in (False, True)
    ]
    inputs = [float(row["input"]) for row in rows]
    assert inputs[2] > inputs[4] + 1  # half the resolution takes some of the noise away
    assert all(float(row["psnr"]) > float(row["input"]) + 5 for row in rows[:6] if "-jpeg-" in row["weights"])
    assert (tmp_path / "README.md").read_text().count("\n| ") == 1 + len(cases)


def test_a_file_is_stored_as_it_says(tmp_path):
    image = np.zeros((16, 16, 3), np.float32)
    image[:, 1::2, 0] = 1  # red columns
    fine, coarse = (np.abs(stored.Stored(98, color)(image, (0, 0)) - image) for color in ("4:4:4", "4:2:0"))
    assert fine.max() < 0.05 < 0.2 < coarse.max()
    gray = image[..., :1]
    assert np.abs(stored.Stored(98, "gray")(gray, (0, 0)) - gray).max() < 0.05
