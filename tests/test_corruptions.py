"""Laws that every corruption obeys, and what each is for."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter

from keras_rednet import dataset
from keras_rednet.corruptions import (
    BicubicResample,
    Blur,
    GaussianNoise,
    JpegCompression,
    LowResolution,
    OneOf,
    PoissonGaussianNoise,
    Quantization,
    ScratchOverlay,
    Sequence,
    Sometimes,
    TextOverlay,
    blur,
)
from keras_rednet.corruptions import overlay as overlays
from keras_rednet.metrics import psnr
from keras_rednet.resize import resize
from recipes import inpaint
from recipes.experiments import EXPERIMENTS

RANDOM = {  # another seed, another result
    "noise 25": GaussianNoise((25, 25)),
    "noise 0-75": GaussianNoise((0, 75)),
    "shot noise": PoissonGaussianNoise((50, 5000), (1, 5)),
    "scales": BicubicResample((2, 3, 4)),
    "small JPEGs": LowResolution((2, 3, 4), JpegCompression((5, 60))),
    "JPEG 5-60": JpegCompression((5, 60)),
    "JPEG 5-60 twice, random grid": JpegCompression((5, 60), random_grid=True, twice=True),
    "blur with noise": Blur(blur.gaussian(5, 1.0), sigma_range=(2, 5)),
    "text 10-20": TextOverlay((10, 20)),
    "scratches": ScratchOverlay((20, 30)),
    "sequence": Sequence((Blur(blur.disk(2)), GaussianNoise((5, 5)), JpegCompression((30, 90)))),
    "low quality more often": OneOf((JpegCompression((5, 20)), JpegCompression((5, 95)))),
    "noise by chance": Sometimes(GaussianNoise((25, 25)), 0.9),
}
FIXED = {
    "scale 3": BicubicResample((3,)),
    "scale 3 as JPEG": LowResolution((3,), JpegCompression((10, 10))),
    "JPEG 10": JpegCompression((10, 10)),
    "disk": Blur(blur.disk(2.5), quantized=False),
    "motion": Blur(blur.motion(9, 30)),
    "even kernel": Blur(np.full((2, 4), 1 / 8)),
    "4 bits": Quantization(4),
}
ZERO_STRENGTH = {
    "noise": GaussianNoise((0, 0)),
    "shot noise": PoissonGaussianNoise((1e9, 1e9)),
    "scale 1": BicubicResample((1,)),
    "scale 1, nothing in between": LowResolution((1,), GaussianNoise((0, 0))),
    "blur": Blur([[1.0]]),
    "8 bits": Quantization(),
    "scratches": ScratchOverlay((0, 0)),
    "sequence": Sequence((GaussianNoise((0, 0)), BicubicResample((1,)))),
    "never": Sometimes(GaussianNoise((25, 25)), 0),
}
REGISTRY = RANDOM | FIXED
CLEAN = np.rint(255 * np.random.default_rng(0).random((17, 23, 3), "float32")).astype("float32") / np.float32(255)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("channels", [1, 3])
def test_keeps_shape_and_type(name, channels):
    corrupted = REGISTRY[name](CLEAN[..., :channels], seed=(1, 2))
    assert corrupted.shape == (17, 23, channels)
    assert corrupted.dtype == tf.float32
    assert np.abs(corrupted - CLEAN[..., :channels]).max() > 0


@pytest.mark.parametrize("name", REGISTRY)
def test_refuses_whole_numbers(name):
    with pytest.raises(TypeError, match="float image .* Received: dtype=uint8; .* divide 8-bit values by 255"):
        REGISTRY[name]((255 * CLEAN).astype("uint8"), seed=(1, 2))


@pytest.mark.parametrize("name", REGISTRY)
def test_is_a_function_of_image_and_seed(name):
    corrupt = REGISTRY[name]
    np.testing.assert_array_equal(corrupt(CLEAN, seed=(1, 2)), corrupt(CLEAN, seed=(1, 2)))
    others = [
        np.array_equal(corrupt(CLEAN, seed=(1, 2)), corrupt(CLEAN, seed=seed)) for seed in ((1, 3), (2, 2), (3, 5))
    ]
    assert not all(others) if name in RANDOM else all(others)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("known_size", [True, False])
def test_eager_equals_tf_data(name, known_size):
    images = tf.data.Dataset.from_tensors(CLEAN).repeat(4).enumerate()

    def corrupt(i, clean):
        clean = clean if known_size else tf.numpy_function(lambda image: image, [clean], tf.float32)
        clean = tf.ensure_shape(clean, CLEAN.shape if known_size else [None, None, 3])
        return REGISTRY[name](clean, tf.stack([7, tf.cast(i, tf.int32)]))

    for i, corrupted in enumerate(images.map(corrupt, num_parallel_calls=4)):
        np.testing.assert_allclose(corrupted, REGISTRY[name](CLEAN, seed=(7, i)), atol=1e-6)


@pytest.mark.parametrize("name", ZERO_STRENGTH)
def test_zero_strength_is_the_identity(name):
    atol = 5e-4 if name == "shot noise" else 1e-6  # a thousand million photons still come at random
    np.testing.assert_allclose(ZERO_STRENGTH[name](CLEAN, seed=(1, 2)), CLEAN, atol=atol)


BAD_PAIRS = [25, (25,), (50, 10), (-1, 5), [5, 20], (5, float("inf")), (5, float("nan")), ("a", "b"), (True, 20)]


@pytest.mark.parametrize("pair", BAD_PAIRS, ids=str)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sigma_range", GaussianNoise),
        ("photons_range", PoissonGaussianNoise),
        ("sigma_range", lambda pair: PoissonGaussianNoise((10, 100), pair)),
        ("quality_range", JpegCompression),
        ("sigma_range", lambda pair: Blur([[1.0]], pair)),
        ("font_size_range", TextOverlay),
        ("count_range", ScratchOverlay),
        ("width_range", lambda pair: ScratchOverlay(width_range=pair)),
        ("length_range", lambda pair: ScratchOverlay(length_range=pair)),
    ],
)
def test_refuses_a_bad_range(name, make, pair):
    with pytest.raises(ValueError, match=f"`{name}` must be a pair .* <= low <= high.* Received: {name}="):
        make(pair)


@pytest.mark.parametrize("pages", [-1, "x", 1.5])
@pytest.mark.parametrize(
    "make", [lambda pages: TextOverlay((10, 20), pages), lambda pages: ScratchOverlay(pages=pages)]
)
def test_refuses_bad_pages(make, pages):
    with pytest.raises(ValueError, match="`pages` must be a whole number of at least 0. Received: pages="):
        make(pages)


@pytest.mark.parametrize("scales", [2, (), [2], (0,), (2.0,), (2, -3), (True,)])
def test_refuses_bad_scales(scales):
    with pytest.raises(ValueError, match="`scales` must be a tuple of integers of at least 1.* Received: scales="):
        BicubicResample(scales)
    with pytest.raises(ValueError, match="`scales` must be a tuple of integers of at least 1.* Received: scales="):
        LowResolution(scales, Quantization())


def test_refuses_to_corrupt_a_small_image_by_nothing():
    with pytest.raises(ValueError, match="`corruption` must be a corruption. Received: corruption=80"):
        LowResolution((2,), 80)


@pytest.mark.parametrize("bits", [0, 17, 8.0, True, "8"])
def test_refuses_bad_bits(bits):
    with pytest.raises(ValueError, match="`bits` must be an integer of Python's own, from 1 to 16. Received: bits="):
        Quantization(bits)


@pytest.mark.parametrize("kernel", [np.ones((3, 3)), [1.0], np.zeros((0, 0)), np.full((1, 1), np.nan)])
def test_refuses_a_bad_kernel(kernel):
    with pytest.raises(ValueError, match=r"`kernel` must be an array \[kh, kw\] with a sum of 1: divide .* Received"):
        Blur(kernel)


@pytest.mark.parametrize("parts", [(), [GaussianNoise((1, 1))], ("noise",), GaussianNoise((1, 1))])
@pytest.mark.parametrize("several", [Sequence, OneOf])
def test_refuses_what_is_not_several(several, parts):
    with pytest.raises(ValueError, match="`corruptions` must be a tuple of corruptions. Received"):
        several(parts)


@pytest.mark.parametrize(
    ("corruption", "chance", "message"), [("blur", 0.5, "corruption"), (print, 1.5, "chance"), (print, "0.5", "chance")]
)
def test_refuses_a_bad_chance(corruption, chance, message):
    with pytest.raises(ValueError, match=f"`{message}` must be .* Received: {message}="):
        Sometimes(corruption, chance)


def test_corrupts_as_often_as_it_says():
    corruption = Sometimes(Blur(blur.disk(2)), 0.75)
    results = [corruption(CLEAN, seed=(i, 0)).numpy() for i in range(400)]
    blurred = [np.abs(result - CLEAN).max() > 0 for result in results]
    assert abs(np.mean(blurred) - 0.75) < 0.08
    whole = Blur(blur.disk(2))(CLEAN, seed=(0, 0)).numpy()
    assert all(
        np.array_equal(result, whole if corrupted else CLEAN)
        for result, corrupted in zip(results, blurred, strict=True)
    )


def test_each_is_as_likely_as_another():
    parts = Blur(blur.disk(2)), GaussianNoise((0, 0)), Quantization(4)
    results = [OneOf(parts)(CLEAN, seed=(i, 0)).numpy() for i in range(400)]
    for part in parts:
        whole = part(CLEAN, seed=(0, 0)).numpy()
        assert abs(np.mean([np.array_equal(result, whole) for result in results]) - 1 / 3) < 0.07


@pytest.mark.parametrize("sigma", [10, 50])
def test_noise_is_gaussian_of_sigma_and_not_clipped(sigma):
    clean = np.full((400, 400, 1), 0.9, "float32")
    noise = 255 * (GaussianNoise((sigma, sigma))(clean, seed=(0, 0)).numpy() - clean)
    assert abs(noise.mean()) < 0.01 * sigma
    assert abs(noise.std() / sigma - 1) < 0.01
    assert abs((np.abs(noise) < sigma).mean() - 0.6827) < 0.01  # a normal distribution's share
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.01


def test_blind_noise_spans_its_range():
    noise = GaussianNoise((20, 60))
    sigmas = np.array([noise.draw((0, i)).numpy() for i in range(300)])
    assert sigmas.min() >= 20
    assert sigmas.max() <= 60
    np.testing.assert_allclose([sigmas.min(), sigmas.mean(), sigmas.max()], [20, 40, 60], atol=2)


@pytest.mark.parametrize("light", [0.0, 0.1, 0.9])
def test_shot_noise_grows_with_the_light(light):
    clean = np.full((300, 300, 1), light, "float32")
    noise = PoissonGaussianNoise((200, 200), (3, 3))(clean, seed=(0, 0)).numpy() - clean
    assert abs(noise.mean()) < 2e-3
    assert noise.var() == pytest.approx(light / 200 + (3 / 255) ** 2, rel=0.03)


def test_shot_noise_spans_its_range():
    photons = np.array([PoissonGaussianNoise((10, 1000)).draw((0, i))[0].numpy() for i in range(300)])
    np.testing.assert_allclose([photons.min(), np.median(photons), photons.max()], [10, 100, 1000], rtol=0.3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_all_scales_are_drawn(scale):
    draws = [BicubicResample((2, 3, 4)).draw((0, i)).numpy() for i in range(300)]
    assert 70 < draws.count(scale) < 130


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 10, 75, 100])
def test_jpeg_is_pillows(photos, quality, channels):
    pixels = dataset.read_image(photos / "photo0.png", color="gray" if channels == 1 else "rgb")[:61]
    file = io.BytesIO()
    Image.fromarray(np.squeeze(pixels)).save(file, "JPEG", quality=quality)
    expected = np.asarray(Image.open(file)).reshape(pixels.shape)
    corrupted = JpegCompression((quality, quality))((pixels / 255).astype("float32"), seed=(0, 0))
    np.testing.assert_array_equal(np.rint(255 * corrupted.numpy()), expected)


@pytest.mark.parametrize(("size", "scale", "small"), [((17, 23), 3, (6, 8)), ((2, 2), 4, (1, 1))])
def test_sides_that_are_no_multiple_of_the_scale_are_shrunk_to_the_next_larger(size, scale, small):
    clean = np.random.default_rng(0).random((*size, 3), "float32")
    expected = resize(resize(clean, small), size)
    np.testing.assert_allclose(BicubicResample((scale,))(clean, (0, 0)), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_happens_at_low_resolution_is_enlarged(channels):
    clean = np.random.default_rng(0).random((17, 23, channels), "float32")
    small = np.clip(np.rint(255 * resize(clean, (6, 8))), 0, 255).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(np.squeeze(small)).save(file, "JPEG", quality=40)
    stored = np.asarray(Image.open(file)).reshape(small.shape)
    corrupted = LowResolution((3,), JpegCompression((40, 40)))(clean, (0, 0))
    np.testing.assert_allclose(corrupted, resize(stored, (17, 23)) / 255, atol=1e-5)


def test_jpeg_qualities_span_their_range():
    draws = [JpegCompression((5, 9)).draw((0, i))[0].numpy() for i in range(200)]
    assert set(draws) == {5, 6, 7, 8, 9}


def test_jpeg_grid_begins_anywhere():
    ramp = np.tile(np.linspace(0, 1, 64, dtype="float32"), (64, 1))[..., None]
    steps = set()
    for i in range(60):
        corrupted = JpegCompression((2, 2), random_grid=True)(ramp, seed=(0, i)).numpy()[0, :, 0]
        steps.add(int(np.argmax(np.abs(np.diff(corrupted))[8:56]) % 8))
    assert steps == set(range(8))
    fixed = JpegCompression((2, 2))(ramp, seed=(0, 0)).numpy()[0, :, 0]
    assert np.argmax(np.abs(np.diff(fixed))[8:56]) % 8 == 7


def test_compressing_twice_is_worse(photos):
    clean = dataset.read_image(photos / "photo0.png", color="gray").astype("float32") / 255
    once, twice = (
        np.mean([psnr(clean, JpegCompression((20, 20), True, twice)(clean, (0, i)), data_range=1.0) for i in range(9)])
        for twice in (False, True)
    )
    assert once - 3 < twice < once - 0.1


def test_disk_kernel_is_fspecials():
    expected = [[0.0251, 0.1453, 0.0251], [0.1453, 0.3183, 0.1453], [0.0251, 0.1453, 0.0251]]
    np.testing.assert_allclose(blur.disk(1), expected, atol=5e-5)  # MATLAB's fspecial('disk', 1)
    kernel = blur.disk(7)
    assert kernel.shape == (15, 15)
    y, x = np.mgrid[-7.5:7.5:600j, -7.5:7.5:600j] + 0.0125  # 40x40 points in each pixel
    inside = (np.hypot(x - 0.0125, y - 0.0125) <= 7).reshape(15, 40, 15, 40).mean(axis=(1, 3))
    np.testing.assert_allclose(kernel, inside / inside.sum(), atol=1e-4)


def test_gaussian_kernel_is_fspecials():
    expected = [[0.0113, 0.0838, 0.0113], [0.0838, 0.6193, 0.0838], [0.0113, 0.0838, 0.0113]]
    np.testing.assert_allclose(blur.gaussian(3, 0.5), expected, atol=5e-5)  # fspecial('gaussian', 3, 0.5)
    assert blur.gaussian(25, 1.6).shape == (25, 25)


def test_motion_kernel():
    np.testing.assert_allclose(blur.motion(9, 0), np.full((1, 9), 1 / 9), rtol=1e-6)
    np.testing.assert_allclose(blur.motion(9, 90), np.full((9, 1), 1 / 9), rtol=1e-6)
    for angle in (20, 45, 130):
        kernel = blur.motion(15, angle)
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
        np.testing.assert_allclose(kernel, blur.motion(15, 180 - angle)[:, ::-1], atol=1e-7)
        y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - np.reshape(kernel.shape, (2, 1, 1)) / 2 + 0.5
        covariance = np.cov(x.ravel(), -y.ravel(), aweights=kernel.ravel())
        main = np.linalg.eigh(covariance)[1][:, 1]
        assert abs(np.rad2deg(np.arctan2(main[1], main[0])) % 180 - angle) < 1.5


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: blur.disk(0), "radius"),
        (lambda: blur.gaussian(0, 1), "side"),
        (lambda: blur.gaussian(2.5, 1), "side"),
        (lambda: blur.gaussian(5, -1), "sigma"),
        (lambda: blur.motion(0.5, 0), "length"),
    ],
)
def test_kernels_refuse_bad_sizes(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}="):
        make()


def test_blur_is_convolution_with_replicated_border():
    kernel = np.random.default_rng(0).random((3, 3)).astype("float32")
    kernel /= kernel.sum()
    blurred = Blur(kernel, quantized=False)(CLEAN, seed=(0, 0)).numpy()
    expected = np.zeros_like(CLEAN)
    for dy, dx in np.ndindex(3, 3):
        rows, columns = np.clip(np.arange(17) + 1 - dy, 0, 16), np.clip(np.arange(23) + 1 - dx, 0, 22)
        expected += kernel[dy, dx] * CLEAN[rows][:, columns]
    np.testing.assert_allclose(blurred, expected, atol=1e-6)
    box = np.asarray(Image.fromarray(np.rint(255 * CLEAN).astype("uint8")).filter(ImageFilter.BoxBlur(1)))
    ours = Blur(np.full((3, 3), 1 / 9))(CLEAN, seed=(0, 0))
    np.testing.assert_allclose(255 * ours, box, atol=1.01)


def test_blur_is_rounded_to_8_bits():
    levels = 255 * Blur(blur.disk(2), sigma_range=(50, 50))(CLEAN, seed=(0, 0)).numpy()
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_blurs_are_told_apart_by_their_kernels():
    assert repr(Blur(blur.disk(7))) == repr(Blur(blur.disk(7))) != repr(Blur(blur.gaussian(15, 2)))


@pytest.mark.parametrize("overlay", [TextOverlay((10, 10)), TextOverlay((20, 20)), ScratchOverlay()], ids=repr)
def test_overlays_change_only_what_they_cover(overlay):
    clean = np.full((300, 700, 3), 0.5, "float32")
    seed = (3, 4)
    corrupted = overlay(clean, seed).numpy()
    cover, ink, _ = overlay.draw(clean.shape, seed)
    changed = np.abs(corrupted - clean).max(axis=-1) > 1e-6
    assert not changed[cover[..., 0].numpy() == 0].any()
    assert 0.005 < changed.mean() < 0.4
    inks = (corrupted - clean)[changed] / cover.numpy()[changed] + 0.5
    for number in np.unique(ink.numpy()[changed]):
        assert np.ptp(inks[ink.numpy()[changed] == number], axis=0).max() < 1e-3  # one colour
    assert len(np.unique(np.round(inks, 2), axis=0)) > 3
    halves = [changed[:, :350].mean(), changed[:, 350:].mean()]
    assert max(halves) < 3 * min(halves)  # it goes on beyond a page


@pytest.mark.parametrize("overlay", [TextOverlay((10, 20)), ScratchOverlay()], ids=repr)
def test_other_pages(overlay):
    covers = [
        dataclasses.replace(overlay, pages=pages).draw((512, 512, 3), (0, 0))[0].numpy()[..., 0] > 0 for pages in (0, 1)
    ]
    assert 0.5 < covers[0].mean() / covers[1].mean() < 2
    together = np.mean(covers[0] & covers[1]) / covers[0].mean()
    assert together < 0.7  # lines of one size lie on lines, words not on words


def test_inpainting_is_tested_on_pages_of_which_it_saw_none():
    tested = {run.corruption.pages for run in EXPERIMENTS if run.task == "inpaint"}
    assert not tested & {recipe.corruption.pages for recipe in inpaint.RECIPES.values()}


def test_text_is_of_every_size_of_the_range(monkeypatch):
    sizes = []
    monkeypatch.setattr(
        overlays, "_text_page", lambda size, random: sizes.append(size) or np.zeros((8, 8, 2), np.uint8)
    )
    overlays._text_bank.cache_clear()
    overlays._text_bank(10, 20, 0)
    overlays._text_bank.cache_clear()
    assert len(sizes) == overlays.PAGES
    assert set(sizes) == set(range(10, 21))


def test_larger_fonts_make_larger_letters():
    clean = np.zeros((512, 512, 1), "float32")
    heights = {}
    for size in (10, 20):
        cover = TextOverlay((size, size)).draw(clean.shape, (0, 0))[0].numpy()[..., 0]
        rows = (cover > 0).any(axis=1)
        heights[size] = rows.sum() / np.count_nonzero(np.diff(rows.astype(int)) == 1)
    assert heights[20] / heights[10] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(("folder", "expected"), [("set5", (33.66, 30.39, 28.42)), ("set14", (30.24, 27.55, 26.00))])
def test_bicubic_gives_the_literatures_numbers(test_images, folder, expected):
    for scale, value in zip((2, 3, 4), expected, strict=True):
        scores = []
        for path in dataset.list_images(test_images / folder):
            clean = dataset.read_image(path, color="luminance").astype("float32") / 255
            clean = clean[: clean.shape[0] // scale * scale, : clean.shape[1] // scale * scale]
            scores.append(psnr(clean, BicubicResample((scale,))(clean, (0, 0)), data_range=1.0, shave=scale))
        assert np.mean(scores) == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize(("folder", "expected"), [("live1", (27.77, 30.07)), ("classic5", (27.82, 30.12))])
def test_jpeg_gives_the_literatures_numbers(test_images, folder, expected):
    for quality, value in zip((10, 20), expected, strict=True):
        scores = []
        for path in dataset.list_images(test_images / folder):
            clean = dataset.read_image(path, color="luminance").astype("float32") / 255
            scores.append(psnr(clean, JpegCompression((quality, quality))(clean, (0, 0)), data_range=1.0))
        assert np.mean(scores) == pytest.approx(value, abs=0.02)
