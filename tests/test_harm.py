import csv
import functools
import shutil

import numpy as np
import pytest
from conftest import section
from PIL import Image

from keras_rednet import psnr, restore, weights
from recipes import csv_table, harm, tables
from recipes.bound import largest
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
    kinds = [row["input"] for row in rows]
    assert kinds == ["clean"] * 4 + ["text 10"] * 2 + ["text 20"] * 2
    for row in rows[:4]:
        clean = np.asarray(Image.open(tmp_path / "live1" / row["image"])).astype(np.float32) / 255
        restored = np.clip(restore(network(row["weights"]), clean), 0, 1)
        assert float(row["psnr"]) == pytest.approx(psnr(clean, restored, data_range=1), abs=0.01)
        assert float(row["largest_feature_map"]) == pytest.approx(largest(network(row["weights"]))(clean), rel=0.001)
    assert all(0 < float(row["mean_change_of_clean_pixels"]) < 5 for row in rows[4:])
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
    row[psnr_column] = "12.34"
    path.write_text(",".join(header) + "\n" + ",".join(row) + "\n")
    harm.main(["--data", str(tmp_path)])
    assert ",12.34," in path.read_text()
    for column in ("sha256", "corruption"):
        changed = dict(zip(harm.COLUMNS, row, strict=True)) | {column: "another"}
        path.write_text(",".join(header) + "\n" + ",".join(changed.values()) + "\n")
        harm.main(["--data", str(tmp_path)])
        assert path.read_text() == measured


def test_every_fast_network_has_rows_of_its_file():
    rows = {row["weights"]: row["sha256"] for row in csv_table.read(harm.RESULTS)}
    assert rows == {name: record["sha256"] for name, record in weights.records().items() if name in rows}
    assert {name for name in weights.records() if "-fast-" in name} <= set(rows)


def test_the_readme_has_the_table():
    assert section("harm", "recipes.harm", harm.table(csv_table.read(harm.RESULTS))) in README.read_text()


def test_the_table_has_a_line_for_each_network():
    scores = {
        ("a", "clean"): (41, 31, 60),
        ("b", "clean"): (50, 42),
        ("b", "text 10"): (0.4, 0.44),
        ("b", "text 20"): (3,),
    }
    rows = [
        dict.fromkeys(harm.COLUMNS, "")
        | {"weights": name, "input": kind, "largest_feature_map": str(100 * score) if kind == "clean" else ""}
        | {"psnr" if kind == "clean" else "mean_change_of_clean_pixels": str(score)}
        for (name, kind), values in scores.items()
        for score in values
    ]
    lines = harm.table(rows).splitlines()
    assert lines[2:] == [
        "| a | 41.0 | 31.0 | 1 of 3 | 6,000 |  |",
        "| b | 46.0 | 42.0 | 0 of 2 | 5,000 | text 10: 0.42, text 20: 3.00 |",
    ]


def _write_here(monkeypatch, folder):
    """Has harm.main write into a folder; returns the path of its CSV file."""
    shutil.copy(README, folder)
    write = functools.partial(tables.write_section, readme=folder / "README.md")
    monkeypatch.setattr(tables, "write_section", write)
    monkeypatch.setattr(harm, "RESULTS", folder / "harm.csv")
    return harm.RESULTS
