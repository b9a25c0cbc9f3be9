import csv
import shutil

import numpy as np

from keras_rednet import weights
from recipes import csv_table, inpaint, masked
from recipes.evaluate import network

TEXT = inpaint.TEXT.validation["text 10"]


def test_the_cover_is_what_the_overlay_covers():
    clean = np.full((64, 80, 3), 0.5, np.float32)
    covered = masked.cover(TEXT, clean.shape, (0, 3))
    changed = np.any(np.asarray(TEXT(clean, (0, 3))) != clean, axis=2)
    assert covered.shape == (64, 80)
    assert changed.any()
    assert not (changed & (covered == 0)).any()
    assert (changed == (covered > 0)).mean() > 0.99  # an ink may by chance be as gray as the picture


def test_the_results_belong_to_the_shipped_files():
    hashes = {name: record["sha256"] for name, record in weights.records().items()}
    rows = csv_table.read(masked.RESULTS)
    assert rows
    assert all(hashes[row["weights"]] == row["sha256"] for row in rows)


def test_scores_both_on_the_same_pictures(tmp_path, photos, monkeypatch):
    shutil.copytree(photos, tmp_path / "live1")
    monkeypatch.setattr(masked, "RESULTS", tmp_path / "masked.csv")
    monkeypatch.setattr(masked, "SIDE", 64)
    masked.main(["--data", str(tmp_path)])
    with (tmp_path / "masked.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["level"] for row in rows] == ["scratch", "text 10", "text 20"]
    for row in rows[1:]:  # so small a picture may have no scratch
        assert 0 < float(row["covered"]) < 0.5
        assert float(row["input"]) < min(float(row["network"]), float(row["biharmonic with mask"]))


def test_the_mask_holds_every_changed_pixel():
    clean = np.full((64, 80, 3), 0.5, np.float32)
    changed = np.any(np.asarray(TEXT(clean, (0, 3))) != clean, axis=2)
    name = next(name for name in weights.records() if name.startswith("red30-fast-inpaint-text"))
    covered, before, unmasked, masked_psnr = masked._scores(network(name), TEXT, clean, (0, 3))
    assert abs(covered - changed.mean()) < 0.01
    assert masked_psnr > before + 20
    assert masked_psnr > unmasked + 20  # nothing is easier than a gray wall for the one that is told the mask
