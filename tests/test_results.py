"""What stands in recipes/results and in the README, and the program that wrote it."""

import dataclasses

import numpy as np
import pytest
from conftest import RECORD, section
from PIL import Image
from test_model import with_random_weights

from export import parity
from keras_rednet import RED30, dataset, psnr, restore, weights
from keras_rednet.corruptions import GaussianNoise
from recipes import contact, csv_table, evaluate, experiments, plan, speed, stored, tables
from recipes.experiments import EXPERIMENTS
from recipes.recipe import architecture


def rows(task):
    return csv_table.read(tables.RESULTS / f"{task}.csv")


def test_readme_tables_are_those_of_the_results():
    readme, results = ((folder / "README.md").read_text() for folder in (tables.FOLDER.parent, tables.RESULTS))
    assert section("at a glance", "recipes.evaluate", tables.glance()) in readme
    assert section("results", "recipes.evaluate", tables.tables()) in results
    assert section("losses", "export.parity", parity.table(csv_table.read(parity.results()))) in results
    assert section("stored", "recipes.stored", stored.table(csv_table.read(stored.RESULTS))) in results
    assert section("plan", "recipes.plan", plan.table()) in readme
    speeds = csv_table.read(tables.RESULTS / "speed.csv")
    assert section("denoisers", "recipes.speed", speed.table(speeds)) in readme


def test_the_table_of_denoisers_has_each_with_its_own_time_and_images(monkeypatch):
    network = {"depth": 10, "task": "denoise", "level": "blind", "filters": 64, "downsample_at": [1], "channels": 1}
    networks = {
        "a-gray-v1": network,
        "b-color-v2": network | {"channels": 3, "level": "jpeg"},
        "c": network | {"level": 10},
    }
    monkeypatch.setattr(weights, "records", lambda: {name: {"network": network} for name, network in networks.items()})
    scores = {
        ("a-gray-v1", "BSD68", "10", "0", "1"): (33, 0.9),
        ("a-gray-v1", "BSD68", "10", "0", "8"): (34, 0.9),
        ("a-gray-v1", "Set12", "10", "0", "1"): (35, 0.9),
        ("b-color-v2", "CBSD68", "30 as JPEG", "0", "1"): (28.123, 0.8),
    }
    monkeypatch.setattr(tables, "means", lambda task: scores)
    speeds = [
        {"network": f"red10-fast-{kind}", "orientations": orientations, "ms_per_megapixel": time}
        for kind, orientations, time in (("gray", "1", "900"), ("gray", "8", "9000"), ("color", "1", "1234"))
    ]
    assert speed.table(speeds).splitlines()[2:] == [
        "| red10-fast-denoise-jpeg-color | 1.2 |  |  |  |  | 28.12 |",
        "| red10-fast-denoise-blind-gray | 0.9 | 33.00 |  |  |  |  |",
    ]


def test_the_short_table_takes_the_fast_network_of_the_level_where_that_is_better_by_validation(monkeypatch):
    shipped = weights.records()
    one, blind = (f"red30-fast-super-resolution-{level}-gray" for level in ("2", "blind"))
    (one,), (blind,) = ([name for name in shipped if name.startswith(stem)] for stem in (one, blind))
    monkeypatch.setattr(weights, "records", lambda: shipped)
    for name, gain in ((one, 0.1), (blind, -0.1)):
        shipped[one]["validation_psnr"] = {"scale 2": shipped[blind]["validation_psnr"]["scale 2"] + gain}
        psnr, _ = tables.means("super_resolution")[name, "Set5", "2", "0", "1"]
        assert f"| Super-resolution, scale 2, luminance | Set5 | 33.68 | **{psnr:.2f}** |" in tables.glance()
    assert len([line for line in tables.glance().splitlines() if line.startswith("| Denoising, sigma 10, gray |")]) == 1


def test_the_short_table_takes_the_network_for_jpegs_for_jpegs_only():
    scores = {
        (name.rpartition("-v")[0], level): psnr
        for (name, images, level, *_), (psnr, _) in tables.means("denoise").items()
        if images == "CBSD68"
    }
    for level, title, network in (("30", "sigma 30", "blind"), ("30 as JPEG", "sigma 30 as JPEG", "jpeg")):
        psnr = scores[f"red30-fast-denoise-{network}-color", level]
        (line,) = (line for line in tables.glance().splitlines() if line.startswith(f"| Denoising, {title}, rgb |"))
        assert f"**{psnr:.2f}**" in line


@pytest.mark.parametrize("task", evaluate.TASKS)
def test_results_belong_to_the_shipped_files(task):
    hashes = {"input": ""} | {name: record["sha256"] for name, record in weights.records().items()}
    of_task = {name for name, record in weights.records().items() if record["network"]["task"] == task}
    assert {row["weights"] for row in rows(task)} == {"input"} | of_task
    assert all(hashes[row["weights"]] == row["sha256"] for row in rows(task))
    assert all(hashes[row["weights"]] == row["sha256"] for row in csv_table.read(parity.results()))


def test_every_experiment_has_scored_inputs():
    scored = {(run.task, *key[1:4]) for run in EXPERIMENTS for key in tables.means(run.task) if key[0] == "input"}
    wanted = {
        (run.task, images, run.level, str(protocol.shave))
        for run in EXPERIMENTS
        for images in run.sets
        for protocol in run.protocols
    }
    assert scored == wanted


@pytest.mark.parametrize(
    ("task", "images", "shave", "expected"),
    [
        ("denoise", "Set12", "0", {"10": 28.14, "30": 18.60, "50": 14.16, "70": 11.24}),
        ("super_resolution", "Set5", "scale", {"2": 33.66, "3": 30.39, "4": 28.42}),
        ("super_resolution", "Set14", "scale", {"2": 30.24, "3": 27.55, "4": 26.00}),
        ("super_resolution", "BSD100", "scale", {"2": 29.56, "3": 27.21, "4": 25.96}),
        ("deblock", "LIVE1", "0", {"10": 27.77, "20": 30.07}),
        ("deblock", "Classic5", "0", {"10": 27.82, "20": 30.12}),
    ],
)
def test_inputs_agree_with_the_literature(task, images, shave, expected):
    means = tables.means(task)
    for level, decibels in expected.items():
        mean, _ = means["input", images, level, level if shave == "scale" else shave, "1"]
        assert mean == pytest.approx(decibels, abs=0.025)


def test_what_the_images_of_a_set_are(test_images):
    sizes = {name: next(experiments.images(test_images, name, "gray"))[1].shape for name in experiments.FOLDERS}
    assert sizes["BSD200"] in ((160, 240, 1), (240, 160, 1))
    assert sizes["BSD200 full size"] in ((321, 481, 1), (481, 321, 1))
    counts = {
        name: len(list(experiments.images(test_images, name, "gray"))) for name in ("CBSD68", "Set5", "Classic16")
    }
    assert counts == {"CBSD68": 68, "Set5": 5, "Classic16": 16}
    pairs = zip(*(experiments.images(test_images, name, "gray") for name in ("CBSD68", "BSD68")), strict=True)
    assert min(psnr(color, gray, data_range=1.0) for (_, color), (_, gray) in pairs) > 50


@pytest.fixture
def small_world(photos, tmp_path, monkeypatch):
    """One experiment on two photographs, and a network that is shipped for it; returns the folder of the data."""
    images = tmp_path / "data" / "set12"
    images.mkdir(parents=True)
    for name in ("photo0.png", "photo1.png"):
        (images / name).write_bytes((photos / name).read_bytes())
    pretrained, results = tmp_path / "pretrained", tmp_path / "results"
    pretrained.mkdir()
    results.mkdir()
    model = with_random_weights(RED30(downsample_at=(1,), filters=2, weights=None))
    network = {"depth": 30, "task": "denoise", "level": "blind", "channels": 1, "filters": 2, "downsample_at": [1]}
    weights.save(model, pretrained / "net-v1.npz", {**RECORD, "validation_psnr": {}})
    record = weights.read_record(pretrained / "net-v1.npz")
    monkeypatch.setattr(weights, "PRETRAINED", pretrained)
    monkeypatch.setattr(weights, "records", lambda: {"net-v1": record | {"network": network}})
    monkeypatch.setattr(tables, "RESULTS", results)
    (experiment,) = (run for run in EXPERIMENTS if run.level == "30" and run.channels == 1)
    experiment = dataclasses.replace(experiment, sets=("Set12",))
    monkeypatch.setattr(evaluate, "EXPERIMENTS", (experiment,))
    monkeypatch.setattr(tables, "EXPERIMENTS", (experiment,))
    evaluate.network.cache_clear()
    return tmp_path / "data"


def test_scores_what_is_missing(small_world, capsys):
    assert "no weights yet" in tables.summary(("denoise",))
    evaluate.score(("denoise",), small_world)
    written = rows("denoise")
    assert [(row["weights"], row["image"]) for row in written] == [
        ("input", "photo0.png"),
        ("input", "photo1.png"),
        ("net-v1", "photo0.png"),
        ("net-v1", "photo1.png"),
    ]
    assert {row["corruption"] for row in written} == {repr(GaussianNoise((30, 30)))}
    assert {row["orientations"] for row in written} == {"1"}
    mean, _ = tables.means("denoise")["net-v1", "Set12", "30", "0", "1"]
    assert mean == pytest.approx(np.mean([float(row["psnr"]) for row in written[2:]]))
    summary = tables.summary(("denoise",))
    assert f"| net-v1 | {float(written[0]['psnr']) / 2 + float(written[1]['psnr']) / 2:.2f} | {mean:.2f} |" in summary
    capsys.readouterr()
    evaluate.score(("denoise",), small_world)
    assert not capsys.readouterr().out  # all there already
    assert rows("denoise") == written


def test_scores_by_eight_orientations(small_world):
    evaluate.score(("denoise",), small_world, orientations=8)
    (row,) = (row for row in rows("denoise") if (row["weights"], row["image"]) == ("net-v1", "photo0.png"))
    assert row["orientations"] == "8"
    clean = dataset.read_image(small_world / "set12" / "photo0.png", color="gray").astype("float32") / 255
    corrupted = np.asarray(GaussianNoise((30, 30))(clean, seed=(0, 0)))
    model = RED30(downsample_at=(1,), filters=2, weights=str(weights.PRETRAINED / "net-v1.npz"))
    scores = [psnr(clean, restore(model, corrupted, orientations=n), data_range=1.0) for n in (8, 1)]
    assert float(row["psnr"]) == pytest.approx(scores[0], abs=1e-3)
    assert abs(scores[0] - scores[1]) > 0.01


def test_scores_anew_a_set_of_which_images_are_missing(small_world, capsys):
    evaluate.score(("denoise",), small_world)
    whole = rows("denoise")
    evaluate._write(tables.RESULTS / "denoise.csv", whole[:-1])
    capsys.readouterr()
    evaluate.score(("denoise",), small_world)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert rows("denoise") == whole


def test_rows_that_another_program_writes_meanwhile_are_kept(small_world, monkeypatch):
    scored = evaluate.evaluate

    (later,) = shipped = weights.records()

    def slow(*arguments):
        monkeypatch.setattr(evaluate, "evaluate", scored)
        monkeypatch.setattr(weights, "records", lambda: shipped)
        evaluate.score(("denoise",), small_world)
        return scored(*arguments)

    monkeypatch.setattr(evaluate, "evaluate", slow)
    monkeypatch.setattr(weights, "records", dict)  # so far
    evaluate.score(("denoise",), small_world)
    assert [row["weights"] for row in rows("denoise")].count(later) == 2
    assert len(rows("denoise")) == 4


def test_scores_only_the_networks_that_are_named(small_world):
    evaluate.score(("denoise",), small_world, sets=["Set5"])
    assert not rows("denoise")
    evaluate.score(("denoise",), small_world, only=["another"], sets=["Set12"])
    assert {row["weights"] for row in rows("denoise")} == {"input"}


def test_the_papers_tables_stand_beside_ours():
    readme = tables.tables()
    for line in ("| RED10 (paper, 8 orientations, 14 images) | 34.62", "| WNNM (paper) | 33.25 / 0.9244 | 27.48"):
        assert line in readme


def test_scores_of_other_weights_are_dropped(small_world):
    evaluate.score(("denoise",), small_world)
    path = tables.RESULTS / "denoise.csv"
    old = path.read_text()
    sha = rows("denoise")[-1]["sha256"]
    path.write_text(old.replace(sha, "0" * 64))
    evaluate.score(("denoise",), small_world)
    assert path.read_text() == old


def test_scores_of_another_corruption_or_protocol_are_dropped(small_world):
    evaluate.score(("denoise",), small_world)
    path = tables.RESULTS / "denoise.csv"
    old = path.read_text()
    for change in (("(30, 30)", "(31, 31)"), (",gray,", ",luminance,"), (",30,gray", ",31,gray")):
        assert change[0] in old
        path.write_text(old.replace(*change))
        evaluate.score(("denoise",), small_world)
        assert path.read_text() == old


def test_saves_pictures_and_a_contact_sheet(small_world, tmp_path):
    evaluate.score(("denoise",), small_world, save=tmp_path / "out")
    folder = tmp_path / "out" / "net-v1" / "Set12 30"
    assert {path.name for path in folder.iterdir()} == {"photo0.png", "photo1.png", "contact sheet.png"}
    assert Image.open(folder / "photo0.png").size == (90, 70)
    sheet = Image.open(folder / "contact sheet.png")
    assert sheet.size == (3 * (contact.SIDE + 4), 2 * (contact.SIDE + contact.TITLE))


def test_times_networks_and_draws_them(small_world, monkeypatch):
    monkeypatch.setattr(speed, "SIZE", (32, 48))
    written = {}
    monkeypatch.setattr(tables, "write_section", lambda name, program, text: written.update({name: (program, text)}))
    evaluate.score(("denoise",), small_world)
    speed.main([])
    measured = csv_table.read(tables.RESULTS / "speed.csv")
    assert [(row["network"], row["orientations"]) for row in measured] == [
        ("red30-fast-2-gray", "1"),
        ("red30-fast-2-gray", "8"),
    ]
    assert all(float(row["ms_per_megapixel"]) > 0 for row in measured)
    assert Image.open(tables.RESULTS / "speed.png").size == (800, 500)
    assert written == {"denoisers": ("recipes.speed", speed.table(measured))}


def test_every_size_of_network_has_been_timed():
    timed = {(row["network"], row["orientations"]) for row in csv_table.read(tables.RESULTS / "speed.csv")}
    sizes = {architecture(record["network"]) for record in weights.records().values()}
    assert timed == {(size, orientations) for size in sizes for orientations in ("1", "8")}


def test_a_photo_under_every_corruption(photos, tmp_path):
    contact.main([str(photos / "photo0.png"), str(tmp_path / "sheet.png")])
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.height == 5 * (contact.SIDE + contact.TITLE)
    rows = contact.corruptions(np.full((64, 64, 3), 0.5, "float32"))
    assert list(rows) == list(evaluate.TASKS)
    assert {"clean", "10", "30", "50", "70"} < set(rows["denoise"])


def test_the_plan_tells_what_bfloat16_saves_the_network_of_its_table(monkeypatch):
    names = (f"{plan.GRAY}-v6", f"{plan.GRAY}-v6", "red30-fast-deblock-blind-gray-v2")
    rows = [{"network": name, "times as fast": str(times)} for name, times in zip(names, (1.5, 2, 9), strict=True)]
    monkeypatch.setattr(plan, "read", lambda name: rows)
    assert plan.bfloat16() == 1.75


def test_says_where_there_are_no_weights(monkeypatch):
    monkeypatch.setattr(tables, "means", lambda task: {})
    lines = tables.summary(("denoise", "inpaint")).splitlines()[2:]
    count = 4 * (4 + 2) + 2 * 2 + 3 + 3  # denoising gray on four sets and colour on two, rounded, JPEGs, inpainting
    assert len(lines) == count
    assert all("no weights yet" in line for line in lines)


def test_the_paper_stands_beside_ours(monkeypatch):
    score = {("red30-denoise-blind-gray-v1", "BSD200", "30", "0", "8"): (28.0, 0.8)}
    monkeypatch.setattr(tables, "means", lambda task: score)
    (line,) = (line for line in tables.summary(("denoise",)).splitlines() if "BSD200 | 30" in line)
    assert "red30-denoise-blind-gray-v1, 8 orientations | not scored | 28.00 | 27.88 | +0.12 |" in line
    assert "28.00 / 0.8000" in tables.tables()


def test_differences_are_of_the_same_protocol_only(monkeypatch):
    """The paper's are whole and of 8 orientations, others' without a border."""
    places = [("red30-fast", "0", "8"), ("red30-fast", "0", "1"), ("red10-fast", "0", "8"), ("red30-fast", "2", "8")]
    scores = {
        (f"{network}-super-resolution-blind-gray-v1", "Set14", "2", shave, orientations): (33.0, 0.9)
        for network, shave, orientations in places
    }
    monkeypatch.setattr(tables, "means", lambda task: scores)
    lines = [line for line in tables.summary(("super_resolution",)).splitlines() if "Set14 | 2 |" in line]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert [bool(row[9]) for row in cells if row[5].startswith("red30") and row[4] == "0"] == [False, True]
    assert not any(row[9] for row in cells if row[4] == "2" or row[5].startswith("red10"))
    assert [bool(row[10]) for row in cells] == [row[4] == "2" for row in cells]


def test_refuses_unknown_tasks(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--data", "x"])
    assert "name tasks of denoise, super_resolution" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate.main(["denoise", "colorize", "--data", "x"])
    assert "Received: denoise colorize" in capsys.readouterr().err
