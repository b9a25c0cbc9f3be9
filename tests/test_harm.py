import csv
import functools
import shutil

import numpy as np
from PIL import Image

from keras_rednet import psnr, restore, weights
from recipes import harm, tables
from recipes.evaluate import network

README = tables.FOLDER.parent / "README.md"


def test_measures_what_changes(tmp_path, photos, monkeypatch):
    (tmp_path / "live1").mkdir()
    for i in range(2):
        (tmp_path / "live1" / f"{i}.png").write_bytes((photos / f"photo{i}.png").read_bytes())
    _write_here(monkeypatch, tmp_path)
    names = ("red30-fast-denoise-blind-color-v", "red30-fast-inpaint-text-color-v")
    shipped = {name: record for name, record in weights.records().items() if name.startswith(names)}
    monkeypatch.setattr(weights, "records", lambda: shipped)
    harm.main(["--data", str(tmp_path)])
    with (tmp_path / "harm.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == ["clean", "clean", "text 10", "text 20"]
    for row in rows[:2]:
        clean = [np.asarray(Image.open(tmp_path / "live1" / f"{i}.png")).astype(np.float32) / 255 for i in range(2)]
        scores = [psnr(i, np.clip(restore(network(row["weights"]), i), 0, 1), data_range=1) for i in clean]
        assert abs(float(row["psnr"]) - np.mean(scores)) < 0.01
        assert abs(float(row["lowest_psnr"]) - min(scores)) < 0.01
    assert all(0 < float(row["mean_change_of_clean_pixels"]) < 5 for row in rows[2:])
    assert harm.table(rows) in (tmp_path / "README.md").read_text()


def test_keeps_the_rows_of_the_same_weights(tmp_path, photos, monkeypatch):
    (tmp_path / "live1").mkdir()
    (tmp_path / "live1" / "0.png").write_bytes((photos / "photo0.png").read_bytes())
    path = _write_here(monkeypatch, tmp_path)
    name = "red30-fast-denoise-blind-gray-v"
    shipped = {key: record for key, record in weights.records().items() if key.startswith(name)}
    monkeypatch.setattr(weights, "records", lambda: shipped)
    harm.main(["--data", str(tmp_path)])
    measured = path.read_text()
    psnr_column = harm.COLUMNS.index("psnr")
    header, row = (line.split(",") for line in measured.splitlines())
    row[psnr_column] = "kept"
    path.write_text(",".join(header) + "\n" + ",".join(row) + "\n")
    harm.main(["--data", str(tmp_path)])
    assert "kept" in path.read_text()
    row[harm.COLUMNS.index("sha256")] = "other weights"
    path.write_text(",".join(header) + "\n" + ",".join(row) + "\n")
    harm.main(["--data", str(tmp_path)])
    assert path.read_text() == measured


def test_the_readme_has_the_table():
    assert harm.table(tables.read(harm.RESULTS)) in README.read_text()


def test_the_table_has_a_line_for_each_network():
    rows = [
        {"weights": "a", "input": "clean", "psnr": "40.00", "lowest_psnr": "31.00"},
        {"weights": "b", "input": "clean", "psnr": "50.00", "lowest_psnr": "42.00"},
        {"weights": "b", "input": "text 10", "mean_change_of_clean_pixels": "0.416"},
        {"weights": "b", "input": "text 20", "mean_change_of_clean_pixels": "0.3"},
    ]
    lines = harm.table(rows).splitlines()
    assert lines[2:] == ["| a | 40.00 | 31.00 |  |", "| b | 50.00 | 42.00 | text 10: 0.42, text 20: 0.30 |"]


def _write_here(monkeypatch, folder):
    """Has harm.main write into a folder; returns the path of its CSV file."""
    shutil.copy(README, folder)
    write = functools.partial(tables.write_section, readme=folder / "README.md")
    monkeypatch.setattr(tables, "write_section", write)
    monkeypatch.setattr(harm, "RESULTS", folder / "harm.csv")
    return harm.RESULTS
