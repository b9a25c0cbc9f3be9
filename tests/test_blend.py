import dataclasses
import json

import numpy as np
import pytest
from conftest import RECORD
from test_model import with_random_weights

from keras_rednet import RED10, REDNet, restore, weights
from recipes import blend, ship, train

NAME = "red10-fast-denoise-blind-gray"


@pytest.fixture
def recipe(monkeypatch):
    """One whose network is small."""
    small = dataclasses.replace(train.RECIPES[NAME], filters=4)
    monkeypatch.setitem(train.RECIPES, small.name, small)
    return small


def saved(folder, recipe, photos, factor=1, **changes):
    """Saves random weights as a run does, after which something of the recipe may be said to be different."""
    options = {"filters": 4, "downsample_at": (1,)} | {key: changes[key] for key in changes if key != "task"}
    architecture = options.pop("architecture", None)
    network = RED10(weights=None, **options) if architecture is None else REDNet(10, **options, **architecture)
    model = with_random_weights(network)
    model.set_weights([factor * array for array in model.get_weights()])
    described = train.describe(recipe, *train.split([photos]))
    described["recipe"] |= {key: [*value] if isinstance(value, tuple) else value for key, value in changes.items()}
    protocol = train.protocol(train.clean_crops(train.split([photos])[1], recipe.color))
    scored = {"validation_protocol": protocol, "validation_psnr": {"sigma 30": 27.0}}
    record = {**RECORD, **described, **scored, "commit": "0123"}
    folder.mkdir()
    weights.save(model, folder / "weights.npz", record)
    return folder / "weights.npz", model.get_weights()


def test_blends_weights_tells_of_which_and_scores_them(recipe, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "commit", lambda: "4567")
    (before, first), (after, _) = (
        saved(tmp_path / name, recipe, photos, factor) for name, factor in (("before", 1), ("after", 3))
    )
    arguments = [str(before), str(after), "--share", "0.75", "--data", str(photos), "--out", str(tmp_path / "new")]
    blend.main(arguments)
    path = tmp_path / "new" / "weights.npz"
    network = RED10(filters=4, downsample_at=(1,), weights=None)
    weights.load_file(network, path)
    for array, of_both in zip(first, network.get_weights(), strict=True):
        np.testing.assert_allclose(of_both, (0.25 + 0.75 * 3) * array, rtol=2e-3, atol=1e-3)  # float16 on disk
    record = weights.read_record(path)
    hashes = [weights.read_record(path)["sha256"] for path in (before, after)]
    of = [f"{name}/weights.npz {sha256}" for name, sha256 in zip(("before", "after"), hashes, strict=True)]
    assert record["blended"] == {"before": of[0], "after": of[1], "share": 0.75}
    assert record["commit"] == "0123, 4567"
    images = train.clean_crops(train.split([photos])[1], "gray")
    scores = {name: train.validate(lambda x: restore(network, x), images, recipe, name) for name in recipe.validation}
    assert record["validation_psnr"] == pytest.approx(scores, abs=0.05)
    assert f"sigma 10 {record['validation_psnr']['sigma 10']:.2f} dB" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        blend.main(arguments)
    assert weights.read_record(path) == record


def test_a_run_that_goes_on_from_a_blend_tells_of_which(recipe, photos, tmp_path):
    start, _ = saved(tmp_path / "start", recipe, photos)
    blend.main([str(start), str(start), "--data", str(photos), "--out", str(tmp_path / "blend")])
    small = dataclasses.replace(recipe.smoke(), precision="float32", epochs=1)
    blended = weights.read_record(tmp_path / "blend" / "weights.npz")["blended"]
    starts = {"on": tmp_path / "blend" / "weights.npz", "other": start, "after": tmp_path / "on" / "weights.npz"}
    for name, start_from in starts.items():
        run = dataclasses.replace(small, start_from=str(start_from))
        for _ in range(2):  # the second time it resumes
            train.train(run, *train.split([photos]), tmp_path / name)
            for file in ("recipe.json", "weights.json"):
                told = json.loads((tmp_path / name / file).read_text())
                assert told.get("start_blended") == (blended if name == "on" else None)
                assert "blended" not in told


def test_a_blend_ships_as_a_run_does(photos, tmp_path, monkeypatch):
    pretrained = tmp_path / "pretrained"
    pretrained.mkdir()
    (pretrained / "weights.json").write_text("{}")
    monkeypatch.setattr(weights, "PRETRAINED", pretrained)
    monkeypatch.setattr(train, "commit", lambda: "4567")
    recipe = train.RECIPES[NAME]
    run, _ = saved(tmp_path / "run", recipe, photos, filters=64)
    low = weights.read_record(run) | {"validation_psnr": dict.fromkeys(recipe.validation, 1.0)}
    model = RED10(downsample_at=(1,), weights=None)
    weights.load_file(model, run)
    weights.save(model, run, low)
    assert ship.ship(run.parent) == f"{NAME}-v1"
    blend.main([NAME, NAME, "--data", str(photos), "--out", str(tmp_path / "blend")])
    assert ship.ship(tmp_path / "blend") == f"{NAME}-v2"
    record = weights.record(NAME)
    assert (record["version"], record["blended"]["share"]) == (2, 0.8)


def test_blends_what_was_trained_on_another_data_set(recipe, photos, tmp_path):
    """All images of the folders validated it, as with `--tfds`."""
    run, _ = saved(tmp_path / "run", recipe, photos)
    images = train.clean_crops(sorted(photos.iterdir()), "gray")
    network, record = RED10(filters=4, downsample_at=(1,), weights=None), weights.read_record(run)
    weights.load_file(network, run)
    weights.save(network, run, record | {"validation_protocol": train.protocol(images)})
    _, record = blend.blend(str(run), str(run), 0.5, [photos])
    assert record["validation_protocol"]["images"] == [f"photo{i}.png" for i in range(6)]


@pytest.mark.parametrize(
    "other",
    [
        {"filters": 6},
        {"downsample_at": ()},
        {"downsample_at": (3,)},
        {"architecture": {"skips": "residual"}},
        {"task": "deblock"},
    ],
    ids=str,
)
def test_blends_no_networks_that_differ(other, recipe, photos, tmp_path):
    (before, _), (after, _) = (
        saved(tmp_path / "before", recipe, photos),
        saved(tmp_path / "after", recipe, photos, **other),
    )
    with pytest.raises(ValueError, match="`before` and `after` must be of the same network. Received: .*before"):
        blend.blend(str(before), str(after), 0.5, [photos])


def test_blends_nothing_that_it_cannot_score(recipe, photos, tmp_path, monkeypatch):
    run = str(saved(tmp_path / "run", recipe, photos)[0])
    with pytest.raises(ValueError, match="`share` must be from 0 to 1. Received: share=1.5"):
        blend.blend(run, run, 1.5, [photos])
    others = tmp_path / "others"
    others.mkdir()
    for path in photos.iterdir():
        (others / f"other-{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="--data must be the folders of the training: their validation images"):
        blend.blend(run, run, 0.5, [others])
    monkeypatch.delitem(train.RECIPES, recipe.name)
    with pytest.raises(ValueError, match="Networks must be of a recipe, .* Received: red10-fast-4-denoise-blind-gray"):
        blend.blend(run, run, 0.5, [photos])
