"""Restoring in bfloat16, and where that is slow."""

import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from keras_rednet import RED10, dataset, precision, psnr, restore
from keras_rednet import photos as photo_module
from keras_rednet.cli import main
from keras_rednet.corruptions import GaussianNoise

FAST = {"downsample_at": (1,)}


@pytest.mark.parametrize(
    ("flags", "slow"),
    [("fpu avx avx2 fma", True), ("fpu avx2 avx512f", False), ("asimd bf16 sve", False), ("", False), (None, False)],
)
def test_tells_on_which_processors_bfloat16_is_slow(tmp_path, flags, slow):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n" if flags else "")
    assert precision.emulates_bfloat16(tmp_path / "cpuinfo") is slow


@pytest.fixture
def noisy(photos):
    """A pair of a clean photograph and one with noise of sigma 30, float32 [h, w, 1]."""
    clean = dataset.read_image(photos / "photo0.png", color="gray").astype("float32") / 255
    return clean, np.asarray(GaussianNoise((30, 30))(clean, (0, 0)))


def test_a_network_computes_in_the_policy_that_it_was_built_under(noisy):
    clean, corrupted = noisy
    exact = restore(RED10(**FAST), corrupted)
    with precision.computing_in("mixed_bfloat16"):
        model = RED10(**FAST)
    assert keras.config.dtype_policy().name == "float32"
    restored = restore(model, corrupted)
    assert restored.dtype == np.float32
    assert 1e-4 < np.abs(restored - exact).max() < 0.05
    scores = [psnr(clean, image, data_range=1) for image in (exact, restored)]
    np.testing.assert_allclose(*scores, atol=0.05)
    with precision.computing_in("mixed_bfloat16"):
        fresh = RED10(weights=None, filters=4)
    np.testing.assert_array_equal(restore(fresh, corrupted), corrupted)  # the last sum is float32


def test_float16_which_holds_no_large_feature_maps_does_not_reach_it(noisy):
    with precision.computing_in("mixed_float16"):
        model = RED10(**FAST)
    np.testing.assert_array_equal(restore(model, noisy[1]), restore(RED10(**FAST), noisy[1]))


def test_the_command_computes_in_bfloat16(noisy, tmp_path, capsys):
    pixels = np.rint(255 * np.clip(noisy[1], 0, 1)).astype("uint8")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "photo.png")
    run = ["denoise", str(tmp_path / "photo.png"), "--weights", "red10-fast-denoise-blind-gray"]
    with precision.computing_in("mixed_bfloat16"):
        model = RED10(**FAST)
    expected = restore(model, pixels)[..., 0]
    for name, options in (("exact.png", []), ("out.png", ["--precision", "bfloat16"])):
        assert main([*run, "-o", str(tmp_path / name), *options]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), expected)
    assert not np.array_equal(np.asarray(Image.open(tmp_path / "exact.png")), expected)
    assert keras.config.dtype_policy().name == "float32"
    assert main([*run, "-o", str(tmp_path / "b.png"), "--precision", "bfloat16", "--engine", "litert"]) == 2
    assert "LiteRT computes as its file says: leave out --precision. Received: bfloat16." in capsys.readouterr().err


def test_warns_where_bfloat16_is_slow(monkeypatch):
    monkeypatch.setattr(photo_module, "emulates_bfloat16", lambda: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo_module.Restorer(photo_module.Work("denoise"))
    with pytest.raises(ValueError, match="`precision` must be one of .* Received: precision='half'"):
        photo_module.Restorer(photo_module.Work("denoise", precision="half"))
    with pytest.warns(UserWarning, match="no match for bfloat16: float32 is many times as fast"):
        photo_module.Restorer(photo_module.Work("denoise", precision="bfloat16"))
