import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_rednet import weights
from keras_rednet.metrics import negative_psnr
from recipes import csv_table, study, tables, train


def kernels(initial):
    recipe = dataclasses.replace(study._drawn(initial)[0], filters=8)
    model = recipe.build()
    return {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name.startswith(("conv", "deconv"))}


def base_kernels():
    model = dataclasses.replace(study.FAST, filters=8).build()
    return {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name.startswith(("conv", "deconv"))}


def test_variants_differ_from_the_base_in_one_setting():
    """But that batches hold about equally many pixels, and a second stage goes on at half the rate."""
    seen = set()
    for variant, stages in study.DENOISE.items():
        changed = [
            {
                key: getattr(recipe, key)
                for key in dataclasses.asdict(recipe)
                if getattr(recipe, key) != getattr(study.FAST, key, None)
            }
            for recipe in stages
        ]
        seen.add(repr(changed))
        for i, (recipe, changes) in enumerate(zip(stages, changed, strict=True)):
            if recipe.patch_size != study.FAST.patch_size:
                assert recipe.batch_size * recipe.patch_size**2 == pytest.approx(4 * 96**2, rel=0.15)
                changes.pop("batch_size")
            if i:
                assert changes.pop("learning_rate") == study.FAST.learning_rate / 2
        assert max(map(len, changed)) == (variant != "base"), variant
    assert len(seen) == len(study.DENOISE)


def test_the_initial_weights():
    keras.utils.set_random_seed(0)
    base = base_kernels()
    assert not base["deconv15"].any()
    last = kernels("drawn last layer")
    assert last["deconv15"].any()
    spread = {
        name: np.std(kernel) / np.std(base[name]) for name, kernel in kernels("not halved").items() if base[name].any()
    }
    behind_sums = {f"deconv{k}" for k in range(2, 15, 2)}
    for name, ratio in spread.items():
        assert ratio == pytest.approx(2**0.5 if name in behind_sums else 1, rel=0.2), name
    glorot = kernels("glorot")
    assert not glorot["deconv15"].any()
    assert np.abs(glorot["conv2"]).max() <= (6 / (2 * 9 * 8)) ** 0.5


@pytest.mark.slow
def test_the_table(photos, tmp_path, monkeypatch, capsys):
    small = {"depth": 10, "filters": 2, "patch_size": 32, "batch_size": 2}
    names = ("base", "rate 5e-4", "RED20, then RED30")
    variants = {name: tuple(dataclasses.replace(recipe, **small) for recipe in study.DENOISE[name]) for name in names}
    monkeypatch.setitem(study.STUDIES, "denoise", variants)
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 0.1)
    paths, table = train.split([photos]), tmp_path / "study.csv"
    for chosen in (("rate 5e-4",), names):  # the first is not trained again
        study.study("denoise", chosen, paths, (0.02, "minutes"), tmp_path / "runs", table)
    before = table.read_text()
    table.unlink()
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 1e-9)  # runs that are there stay as long as they are
    study.study("denoise", names, paths, (0.02, "minutes"), tmp_path / "runs", table)
    assert table.read_text() == before
    assert capsys.readouterr().out.count("rate 5e-4\n") == 2
    rows = {row["variant"]: row for row in csv_table.read(table)}
    assert tuple(rows) == names
    assert rows["base"]["difference"] == "+0.000"
    for row in rows.values():
        scores = [float(row[f"sigma {sigma}"]) for sigma in (10, 30, 50, 70)]
        assert float(row["mean"]) == pytest.approx(np.mean(scores), abs=1e-3)
        assert float(row["difference"]) == pytest.approx(float(row["mean"]) - float(rows["base"]["mean"]), abs=2e-3)
        assert int(row["patches"]) >= 8


def test_rows_of_another_recipe_or_other_images_are_not_kept(photos, tmp_path, monkeypatch):
    trained = []
    row = {"mean": "20.000", "difference": ""}
    monkeypatch.setattr(study, "_trained", lambda stages, *others: trained.append(stages) or dict(row))
    variants = {name: study.DENOISE[name] for name in ("base", "RED10")}
    monkeypatch.setitem(study.STUDIES, "denoise", variants)
    paths, table = train.split([photos]), tmp_path / "study.csv"
    for _ in range(2):
        study.study("denoise", ["base", "RED10"], paths, (1, "minutes"), tmp_path, table)
    assert len(trained) == 2
    variants["RED10"] = (dataclasses.replace(*variants["RED10"], patch_size=64),)
    study.study("denoise", ["base", "RED10"], paths, (1, "minutes"), tmp_path, table)
    assert len(trained) == 3
    study.study("denoise", ["base"], (paths[0][1:], paths[1]), (1, "minutes"), tmp_path, table)
    assert len(trained) == 4


def test_a_new_setting_that_is_off_makes_no_other_recipe(photos):
    paths = train.split([photos])

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(type(study.FAST)):
        setting: int | None = None

    fields = {field.name: getattr(study.FAST, field.name) for field in dataclasses.fields(study.FAST)}
    now, off, on = (study._digest([r], paths) for r in (study.FAST, Later(**fields), Later(**fields, setting=1)))
    assert now == off != on


def test_the_table_is_of_the_recipe_of_the_study(test_images):
    """Else the next `python -m recipes.study denoise` replaces all its rows: a new setting must be None where off."""
    folders = [test_images / "bsds500" / "train", test_images / "t91"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("KERAS_REDNET_DATA has no training images")
    paths = train.split(folders)
    rows = csv_table.read(tables.RESULTS / "study-denoise.csv")
    (base,) = {row["recipe"] for row in rows if (row["variant"], row["budget"]) == ("base", "3.0 minutes")}
    assert study._digest(study.STUDIES["denoise"]["base"], paths) == base


def test_rows_of_other_budgets_are_kept(photos, tmp_path, monkeypatch):
    table, means = tmp_path / "study.csv", iter(["20.000", "21.000", "22.000", "23.500"])
    monkeypatch.setattr(study, "_trained", lambda *others: {"mean": next(means), "difference": ""})
    monkeypatch.setitem(study.STUDIES, "denoise", {name: study.DENOISE[name] for name in ("base", "RED10")})
    paths = train.split([photos])
    for minutes in (1, 2):
        study.study("denoise", ["RED10", "base"], paths, (minutes, "minutes"), tmp_path, table)
    assert [(row["variant"], row["budget"], row["difference"]) for row in csv_table.read(table)] == [
        ("base", "1 minutes", "+0.000"),
        ("RED10", "1 minutes", "-1.000"),
        ("base", "2 minutes", "+0.000"),
        ("RED10", "2 minutes", "-1.500"),
    ]


def test_rows_that_another_program_writes_meanwhile_are_kept(photos, tmp_path, monkeypatch):
    paths, table = train.split([photos]), tmp_path / "study.csv"

    def trained(stages, *others):
        if stages[0].depth == 30:
            study.study("denoise", ["RED10"], paths, (1, "minutes"), tmp_path, table)
        return {"mean": "20.000", "difference": ""}

    monkeypatch.setattr(study, "_trained", trained)
    study.study("denoise", ["base"], paths, (1, "minutes"), tmp_path, table)
    assert [row["variant"] for row in csv_table.read(table)] == ["base", "RED10"]


def test_the_minutes_decide_the_length(monkeypatch):
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 0.5)
    length = study._length(study.FAST, images=10, amount=10, unit="minutes")
    assert 10 * length["epochs"] * length["patches_per_image"] == pytest.approx(600 / 0.5 * 4, rel=0.1)
    assert length["epochs"] == study.EPOCHS
    assert length["warmup_steps"] <= 1200 // 5


def test_patches_decide_the_length():
    length = study._length(study.FAST, images=10, amount=6000, unit="patches")
    assert 10 * length["epochs"] * length["patches_per_image"] == 6000


def test_the_loss_is_all_that_the_study_of_going_on_varies():
    recipes = [recipe for (recipe,) in study.STUDIES["super-resolution-on"].values()]
    assert [recipe.loss for recipe in recipes] == ["mae", negative_psnr, "mse"]
    assert len({repr(dataclasses.replace(recipe, loss="mae")) for recipe in recipes}) == 1


def test_down_sampling_is_all_that_the_other_studies_vary():
    for name in ("deblur-disk", "super-resolution", "deblock"):
        recipes = [recipe for (recipe,) in study.STUDIES[name].values()]
        assert [recipe.downsample_at for recipe in recipes] == [(1,), (5,), ()]
        same = {"downsample_at": (), "start_from": None}
        assert len({repr(dataclasses.replace(recipe, **same)) for recipe in recipes}) == 1


def test_a_variant_goes_on_from_a_denoiser(photos, tmp_path, monkeypatch):
    shipped = study.STUDIES["deblock"]["down-sampled at conv5"][0]
    assert shipped.start_from == "red30-denoise-blind-gray"
    small = {"depth": 10, "start_from": "red10-denoise-blind-gray", "patch_size": 32, "batch_size": 2}
    recipe = dataclasses.replace(shipped, **small, validate_every=1)
    monkeypatch.setitem(study.STUDIES, "deblock", {"base": (recipe,)})
    paths, table = train.split([photos]), tmp_path / "study.csv"
    study.study("deblock", ["base"], paths, (8, "patches"), tmp_path / "runs", table)
    (row,) = csv_table.read(table)
    assert row["budget"] == "8 patches"
    description = json.loads((tmp_path / "runs/deblock/8 patches/base/0/recipe.json").read_text())
    assert description["recipe"]["start_from"] == weights.versioned(recipe.start_from)
