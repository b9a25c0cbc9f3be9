import subprocess
import sys

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from keras_rednet import REDNet
from keras_rednet.metrics import PSNR, SSIM, negative_psnr, psnr, ssim


@pytest.fixture(params=[(40, 51), (40, 51, 1), (40, 51, 3)], ids=str)
def pair(request):
    rng = np.random.default_rng(0)
    clean = rng.random(request.param)
    return clean, clean + rng.normal(0, 0.1, request.param)


@pytest.mark.parametrize("data_range", [1.0, 255])
def test_equal_scikit_image(pair, data_range):
    clean, restored = (data_range * image for image in pair)
    expected = peak_signal_noise_ratio(clean, restored, data_range=data_range)
    assert psnr(clean, restored, data_range=data_range) == pytest.approx(expected, abs=1e-9)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": data_range}
    expected = structural_similarity(clean, restored, channel_axis=2 if clean.ndim == 3 else None, **options)
    assert ssim(clean, restored, data_range=data_range) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("metric", "function"), [(PSNR, psnr), (SSIM, ssim)])
def test_images_of_8_bits_whose_maximum_is_a_data_range(metric, function):
    clean = np.arange(256, dtype=np.uint8).reshape(16, 16)
    restored = np.random.default_rng(0).permutation(clean.ravel()).reshape(16, 16)  # differences above 16 wrap
    expected = function(clean, restored, data_range=255)
    assert function(clean, restored, data_range=clean.max()) == expected
    metric = metric(data_range=clean.max())
    metric.update_state(*(image[None, ..., None] for image in (clean, restored)))
    assert float(metric.result()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("data_range", [0, -1, float("nan"), float("inf")])
def test_white_is_lighter_than_black(data_range):
    image = np.zeros((16, 16))
    for function in (psnr, ssim):
        with pytest.raises(ValueError, match="`data_range` must be white minus black"):
            function(image, image, data_range=data_range)
    for metric in (PSNR, SSIM):
        with pytest.raises(ValueError, match="`data_range` must be white minus black"):
            metric(data_range=data_range)


def test_an_image_that_equals_the_clean_one_does_not_hide_the_others():
    clean = np.zeros((2, 4, 4, 1), "float32")
    restored = clean + np.array([0, 0.1], "float32")[:, None, None, None]
    metric = PSNR(data_range=1.0)
    metric.update_state(clean, restored)
    assert float(metric.result()) == pytest.approx((100 + 20) / 2, abs=1e-3)


def test_metrics_are_float32_whatever_keras_is_set_to(floatx16):
    clean = np.random.default_rng(0).random((2, 12, 12, 1), "float32")
    restored = clean + np.array([0, 0.01], "float32")[:, None, None, None]
    for metric, expected in ((PSNR(data_range=1.0), (100 + 40) / 2), (SSIM(data_range=1.0), None)):
        metric.update_state(clean, restored)
        assert {variable.dtype for variable in metric.variables} == {"float32"}  # or long sums would stall
        expected = expected or (1 + ssim(clean[1], restored[1], data_range=1.0)) / 2
        assert float(metric.result()) == pytest.approx(expected, abs=1e-3)


def test_the_metric_ssim_refuses_small_images():
    with pytest.raises(ValueError, match=r"SSIM needs at least 11x11 pixels. Received: \(10, 12\)"):
        SSIM(data_range=1.0).update_state(np.zeros((1, 10, 12, 1)), np.zeros((1, 10, 12, 1)))


def test_keras_metrics_equal_the_functions():
    rng = np.random.default_rng(0)
    clean = rng.random((5, 20, 24, 3), "float32")
    restored = clean + rng.normal(0, np.array([0.01, 0.05, 0.1, 0.2, 0.3])[:, None, None, None], clean.shape).astype(
        "float32"
    )
    for metric, function in ((PSNR(data_range=1.0), psnr), (SSIM(data_range=1.0), ssim)):
        metric.update_state(clean[:2], restored[:2])
        metric.update_state(clean[2:], restored[2:])
        expected = np.mean([function(c, r, data_range=1.0) for c, r in zip(clean, restored, strict=True)])
        assert float(metric.result()) == pytest.approx(expected, abs=1e-4)


def test_keras_metrics_in_fit_and_from_config():
    model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Conv2D(1, 1)])
    model.compile("adam", "mse", metrics=[PSNR(data_range=1.0), SSIM(data_range=1.0)])
    images = np.random.default_rng(0).random((4, 12, 12, 1), "float32")
    assert {"psnr", "ssim"} <= set(model.fit(images, images, verbose=0).history)
    assert PSNR.from_config(PSNR(data_range=255).get_config()).data_range == 255


def test_a_new_process_loads_what_was_trained_with_them(tmp_path):
    model = REDNet(10, filters=4, downsample_at=(1,))
    model.compile("adam", negative_psnr, metrics=[PSNR(data_range=1.0), SSIM(data_range=1.0)])
    images = np.random.default_rng(0).random((2, 16, 16, 1), "float32")
    model.fit(images, images, verbose=0)
    model.save(tmp_path / "m.keras")
    program = "import sys, keras, keras_rednet; print(keras.models.load_model(sys.argv[1]).name)"
    command = [sys.executable, "-c", program, str(tmp_path / "m.keras")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "red10\n"


def test_shave():
    clean = np.zeros((20, 20))
    restored = clean.copy()
    restored[:2] = restored[-2:] = 1
    restored[:, :2] = restored[:, -2:] = 1
    assert psnr(clean, restored, data_range=1.0, shave=2) == np.inf
    assert psnr(clean, restored, data_range=1.0, shave=1) < 20


@pytest.mark.parametrize("function", [psnr, ssim])
def test_bad_input(function):
    with pytest.raises(ValueError, match=r"same shape.*clean \(20, 20\), restored \(20, 21\)"):
        function(np.zeros((20, 20)), np.zeros((20, 21)), data_range=1.0)
    with pytest.raises(ValueError, match="`shave` must leave at least a pixel of 20x20. Received: shave=10"):
        function(np.zeros((20, 20)), np.zeros((20, 20)), data_range=1.0, shave=10)
    with pytest.raises(TypeError, match="data_range"):
        function(np.zeros((20, 20)), np.zeros((20, 20)))


def test_ssim_needs_a_window():
    with pytest.raises(ValueError, match=r"at least 11x11 pixels. Received: \(10, 12\) after shave=1"):
        ssim(np.zeros((12, 14)), np.zeros((12, 14)), data_range=1.0, shave=1)


def test_the_loss_is_minus_psnr_until_40_db():
    rng = np.random.default_rng(0)
    clean = rng.random((3, 30, 30, 1), "float32")
    restored = clean + rng.normal(0, np.array([0.3, 0.1, 1e-5])[:, None, None, None], clean.shape).astype("float32")
    loss = keras.ops.convert_to_numpy(negative_psnr(clean, restored))
    expected = [-psnr(c, r, data_range=1.0) for c, r in zip(clean[:2], restored[:2], strict=True)]
    np.testing.assert_allclose(loss, [*expected, -40], atol=0.05)
