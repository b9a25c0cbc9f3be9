"""The numbers of the paper and of others, typed once: spot checks by hand against the printed tables."""

from collections import Counter

import pytest

from recipes import csv_table, tables

PAPER = csv_table.read(tables.FOLDER / "paper_tables.csv")
ANCHORS = csv_table.read(tables.FOLDER / "anchors.csv")


@pytest.mark.parametrize(
    ("table", "images", "level", "method", "psnr", "ssim"),
    [
        ("1", "14 images", "30", "BM3D", "28.49", "0.8204"),
        ("1", "14 images", "70", "RED30", "25.31", "0.7206"),
        ("2", "BSD200", "10", "RED30", "33.63", "0.9319"),
        ("2", "BSD200", "50", "RED20", "25.67", "0.7117"),
        ("3", "BSD200", "30", "RED30 blind", "27.88", "0.7980"),
        ("4", "Set5", "2", "SRCNN", "36.66", "0.9542"),
        ("4", "Set5", "4", "RED30", "31.51", "0.8869"),
        ("5", "Set14", "3", "CSCN", "29.55", "0.8271"),
        ("5", "Set14", "3", "RED20", "29.61", "0.8343"),
        ("6", "BSD100", "4", "ARFL+", "26.86", "0.7091"),
        ("6", "BSD100", "2", "RED10", "31.85", "0.8953"),
        ("7", "Set5", "4", "DRCN", "31.53", "0.8854"),
        ("7", "BSD100", "3", "VDSR", "28.82", "0.7976"),
        ("8", "Set14", "4", "RED30 blind", "27.72", "0.7698"),
        ("9", "LIVE1", "10", "SA-DCT", "28.65", ""),
        ("9", "LIVE1", "20", "RED30", "31.73", ""),
        ("10", "images of the paper", "motion", "Levin et al.", "37.80", ""),
        ("10", "images of the paper", "gaussian", "RED30", "34.49", ""),
        ("5.6", "LIVE1", "text 20", "FoE", "31.10", "0.9510"),
        ("5.6", "LIVE1", "scratch", "RED30", "39.41", "0.9923"),
    ],
)
def test_the_papers_numbers(table, images, level, method, psnr, ssim):
    (row,) = (
        row
        for row in PAPER
        if (row["table"], row["images"], row["level"], row["method"]) == (table, images, level, method)
    )
    assert (row["psnr"], row["ssim"]) == (psnr, ssim)


def test_headers():
    assert list(PAPER[0]) == ["table", "task", "images", "level", "method", "psnr", "ssim"]
    assert list(ANCHORS[0]) == ["task", "images", "level", "method", "psnr", "ssim", "source"]


def test_every_table_is_whole():
    counts = Counter(row["table"] for row in PAPER)
    per_set = 3 * 9
    assert counts == {
        **{"1": 4 * 9, "2": 4 * 9, "3": 2 * 4},
        **{"4": per_set, "5": per_set, "6": per_set, "7": 3 * 3 * 3, "8": 3 * 3},
        **{"9": 2 * 6 - 1, "10": 3 * 6 - 3, "5.6": 3 * 2},
    }


@pytest.mark.parametrize("rows", [PAPER, ANCHORS], ids=["paper", "anchors"])
def test_numbers_are_plausible_and_given_once(rows):
    keys = [(row.get("table"), row["task"], row["images"], row["level"], row["method"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(18 < float(row["psnr"]) < 45 for row in rows)
    assert all(not row["ssim"] or 0.6 < float(row["ssim"]) < 1 for row in rows)


def test_deeper_networks_are_better_in_the_paper():
    psnr = {(row["table"], row["images"], row["level"], row["method"]): float(row["psnr"]) for row in PAPER}
    for (table, images, level, method), value in psnr.items():
        if method == "RED30" and (table, images, level, "RED10") in psnr:
            assert psnr[table, images, level, "RED10"] < value >= psnr[table, images, level, "RED20"]


@pytest.mark.parametrize(
    ("task", "images", "level", "method", "psnr"),
    [
        ("super_resolution", "Set5", "2", "SwinIR", "38.42"),
        ("super_resolution", "Set14", "4", "CARN", "28.60"),
        ("deblock", "Classic5", "20", "AR-CNN", "31.15"),
        ("denoise", "BSD68", "50", "DRUNet", "26.59"),
        ("denoise", "Set12", "10", "FFDNet", "34.63"),
    ],
)
def test_numbers_of_others(task, images, level, method, psnr):
    wanted = (task, images, level, method)
    (row,) = (row for row in ANCHORS if (row["task"], row["images"], row["level"], row["method"]) == wanted)
    assert row["psnr"] == psnr
