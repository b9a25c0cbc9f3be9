import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from recipes import ablations, train


@pytest.mark.parametrize("figure", ablations.FIGURES)
def test_the_curves_of_a_figure_are_different_networks_or_patches(figure):
    curves = ablations.FIGURES[figure]
    shapes = set()
    for recipe in curves.values():
        model = recipe.build()
        sums = tuple((layer.name, layer.input[0].name) for layer in model.layers if layer.name.startswith("skip"))
        sums = tuple((name, source.split("/")[0]) for name, source in sums if "relu" not in name)
        strides = tuple(layer.strides for layer in model.layers if layer.name.startswith(("conv", "deconv")))
        kinds = tuple(type(layer).__name__ for layer in model.layers)
        shapes.add((model.count_params(), len(sums), strides, kinds, recipe.patch_size))
    assert len(shapes) == len(curves) >= 3


@pytest.mark.parametrize("figure", ["fig5", pytest.param("fig8", marks=pytest.mark.slow)])
def test_draws_a_figure(figure, photos, tmp_path, monkeypatch):
    curves = dict(list(ablations.FIGURES[figure].items())[:2])
    curves = {
        label: dataclasses.replace(recipe, depth=10, filters=2, patch_size=32) for label, recipe in curves.items()
    }
    monkeypatch.setitem(ablations.FIGURES, figure, curves)
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 0.15)
    ablations.ablate(figure, train.split([photos]), 0.01, tmp_path)
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 1e-9)  # by which they would take far longer
    ablations.ablate(figure, train.split([photos]), 0.01, tmp_path)  # is only drawn again
    assert {path.name for path in tmp_path.iterdir()} == {f"{figure}.png", f"{figure}.csv", figure.replace("5", "6")}
    assert np.ptp(np.asarray(Image.open(tmp_path / f"{figure}.png").convert("L"))) > 100
    with (tmp_path / f"{figure}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["curve"] for row in rows} == set(curves)
    counts = [[row["patches"] for row in rows if row["curve"] == label] for label in curves]
    assert counts[0] == counts[1]
    assert len(counts[0]) >= 2


def test_the_minutes_decide_the_length(monkeypatch):
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe: 0.5)
    recipes = ablations.FIGURES["fig9"].values()
    length = ablations._length(recipes, ["photo"] * 10, minutes=10)
    patches = 10 * length["epochs"] * length["patches_per_image"]
    assert patches == pytest.approx(600 / 1.5 * 16, rel=0.1)
    assert length["epochs"] == pytest.approx(ablations.POINTS, abs=1)
