import dataclasses
import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image
from test_model import VARIANTS, with_random_weights

from keras_rednet import restoration as module
from keras_rednet import restore, upscale
from keras_rednet.color import rgb_to_ycbcr
from keras_rednet.geometry import orient, restore_orientation
from keras_rednet.model import REDNet, halo
from keras_rednet.resize import resize
from keras_rednet.restoration import WINDOW_VALUES, _deployment, _tiles, fill_hidden


@pytest.fixture(scope="module")
def gray_model():
    return with_random_weights(REDNet(10, filters=4, downsample_at=(1,)))


@pytest.fixture(scope="module")
def color_model():
    return with_random_weights(REDNet(10, filters=4, channels=3), seed=1)


def noise(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def whole(model, image):
    return keras.ops.convert_to_numpy(model(image[None]))[0]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(131, 157), (160, 96), (1, 203)])
def test_tiles_equal_the_whole_image(variant, size):
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    image = noise(*size, model.input_shape[-1])
    np.testing.assert_allclose(restore(model, image, tile=16), whole(model, image), atol=1e-5)


def test_tiles_need_their_halo(monkeypatch):
    model = with_random_weights(REDNet(20, filters=4))
    image = noise(131, 157, 1)
    monkeypatch.setattr("keras_rednet.restoration.halo", lambda model: halo(model) // 2)
    assert np.abs(restore(model, image, tile=16) - whole(model, image)).max() > 1e-5


@pytest.mark.parametrize("tile", [1, np.int64(37), "auto", None])
def test_any_tile_gives_the_same(gray_model, tile):
    image = noise(75, 91)
    np.testing.assert_allclose(
        restore(gray_model, image, tile=tile), whole(gray_model, image[..., None])[..., 0], atol=1e-5
    )


@pytest.mark.parametrize(
    "size", [(481, 321), (4, 4000), (4000, 6000), (700, 700), (65, 20000), (20000, 65), (60000, 120)], ids=str
)
@pytest.mark.parametrize(("downsample_at", "waste"), [((), 1.35), ((1,), 1.35), ((5, 9), 2.3)])
def test_auto_tiles_fit_in_memory_and_waste_little(size, downsample_at, waste):
    model = REDNet(30, downsample_at=downsample_at)
    windows = [window for window, _, _ in _tiles(_deployment(model), size, "auto")]
    pixels = [len(rows) * len(columns) for rows, columns in windows]
    reduction = 2 if 1 in downsample_at else 1
    assert max(pixels) * 64 / reduction**2 <= WINDOW_VALUES
    assert sum(pixels) <= waste * np.prod(size)


@pytest.mark.parametrize("downsample_at", [(), (1,), (5, 9)])
def test_windows_of_few_sizes(downsample_at):
    network = dataclasses.replace(_deployment(REDNet(30, downsample_at=downsample_at)), window_multiple=64)
    sizes = [(1200 + 10 * i, 1800 - 7 * i) for i in range(40)]
    windows = {tuple(map(len, window)) for size in sizes for window, _, _ in _tiles(network, size, "auto")}
    assert {side % 64 for window in windows for side in window} == {0}
    assert len(windows) < 12


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"filters": 128, "kernel_size": 5, "downsample_at": (5,)}, (1600, 2400)),
        ({"kernel_size": 9, "downsample_at": (5,)}, (1300, 1950)),
        ({"filters": 512}, (1900, 2850)),
    ],
    ids=str,
)
def test_windows_of_few_sizes_for_networks_that_look_far_or_are_wide(options, size):
    network = dataclasses.replace(_deployment(REDNet(30, **options)), window_multiple=64)
    assert {len(side) % 64 for window, _, _ in _tiles(network, size, "auto") for side in window} == {0}


@pytest.mark.parametrize("tile", [16, 37, "auto"])
@pytest.mark.parametrize("size", [(131, 157), (700, 96), (1, 203), (1, 9000)])
def test_windows_of_few_sizes_give_the_same(gray_model, size, tile):
    network = dataclasses.replace(_deployment(gray_model), window_multiple=64)
    image = noise(*size, 1)
    np.testing.assert_allclose(restore(network, image, tile=tile), whole(gray_model, image), atol=1e-5)


def test_a_picture_that_fits_in_memory_is_one_tile():
    assert len(list(_tiles(_deployment(REDNet(30)), (481, 321), "auto"))) == 1


@pytest.mark.parametrize("orientation", range(8))
def test_orientations_are_undone_and_differ(orientation):
    image = noise(5, 7, 3)
    np.testing.assert_array_equal(restore_orientation(orient(image, orientation), orientation), image)
    others = [orient(image, k) for k in range(8) if k != orientation]
    assert not [other for other in others if np.array_equal(other, orient(image, orientation))]


@pytest.mark.parametrize("orientation", [-1, 8, 0.5])
def test_bad_orientation(orientation):
    with pytest.raises(ValueError, match="`orientation` must be an integer from 0 to 7"):
        orient(noise(2, 2, 1), orientation)


@pytest.mark.parametrize("tile", [16, None])
def test_eight_orientations_are_averaged(gray_model, tile):
    image = noise(74, 92, 1)
    turned = [whole(gray_model, np.ascontiguousarray(orient(image, k))) for k in range(8)]
    expected = np.mean([restore_orientation(restored, k) for k, restored in enumerate(turned)], axis=0)
    np.testing.assert_allclose(restore(gray_model, image, tile=tile, orientations=8), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1), (9, 11, 3), (9, 11, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_kind_comes_back(gray_model, color_model, shape, dtype, channels):
    scale = np.iinfo(dtype).max if dtype.startswith("u") else 1
    image = (noise(*shape) * scale).astype(dtype)
    restored = restore(gray_model if channels == 1 else color_model, image)
    assert (restored.shape, restored.dtype) == (image.shape, image.dtype)
    assert not np.array_equal(restored[..., :3], image[..., :3])
    if shape[2:] == (4,):
        np.testing.assert_array_equal(restored[..., 3], image[..., 3])


def test_integers_are_the_rounded_and_clipped_floats(gray_model):
    image = (noise(20, 20) * 255).astype("uint8")
    exact = restore(gray_model, (image / 255).astype("float32")) * 255
    assert exact.min() < 0 or exact.max() > 255
    np.testing.assert_array_equal(restore(gray_model, image), np.rint(exact.clip(0, 255)))


def test_color_with_a_gray_model(gray_model):
    image = noise(20, 24, 3)
    channels = restore(gray_model, image)
    np.testing.assert_allclose(channels[..., 1], restore(gray_model, image[..., 1]), atol=1e-6)
    ycbcr = rgb_to_ycbcr(image)
    restored = rgb_to_ycbcr(restore(gray_model, image, color="luminance"))
    np.testing.assert_allclose(restored[..., 0], restore(gray_model, ycbcr[..., 0]), atol=1e-5)
    np.testing.assert_allclose(restored[..., 1:], ycbcr[..., 1:], atol=1e-5)
    restored = rgb_to_ycbcr(restore(gray_model, image, color="ycbcr"))
    np.testing.assert_allclose(restored, restore(gray_model, ycbcr), atol=1e-5)


def test_gray_with_a_color_model(color_model):
    image = noise(20, 24)
    expected = whole(color_model, np.repeat(image[..., None], 3, axis=2)).mean(axis=2)
    np.testing.assert_allclose(restore(color_model, image), expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I;16", "F"])
def test_pil_images(gray_model, mode):
    values = {"I;16": (noise(9, 11) * 65535).astype("uint16"), "F": noise(9, 11)}
    pixels = (noise(9, 11, max(2, len(mode))) * 255).astype("uint8")
    image = (
        Image.fromarray(values[mode]) if mode in values else Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    )
    restored = restore(gray_model, image)
    assert (restored.mode, restored.size) == (image.mode, image.size)
    if mode in ("RGBA", "LA"):
        assert restored.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    if mode != "LA":
        np.testing.assert_array_equal(np.asarray(restored), restore(gray_model, np.asarray(image)))


def test_pil_images_keep_what_describes_them(gray_model):
    image = Image.new("RGB", (8, 6))
    image.info = {"icc_profile": b"profile", "exif": b"exif", "dpi": (72, 72), "transparency": (0, 0, 0)}
    restored = restore(gray_model, image)
    assert restored.info == {"icc_profile": b"profile", "exif": b"exif", "dpi": (72, 72)}
    assert restored.mode == "RGBA"  # the transparent colour has become an alpha channel


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB")])
def test_other_pil_modes_become_gray_or_rgb(gray_model, mode, expected):
    image = Image.fromarray((noise(9, 11, 3) * 255).astype("uint8")).convert(mode)
    assert restore(gray_model, image).mode == expected


def test_follows_weights_that_change(gray_model):
    model = keras.models.clone_model(gray_model)
    model.set_weights(gray_model.get_weights())
    image = noise(12, 12, 1)
    before = restore(model, image)
    model.set_weights([2 * weight for weight in model.get_weights()])
    assert not np.allclose(restore(model, image), before)
    np.testing.assert_allclose(restore(model, image), whole(model, image), atol=1e-4)


def test_the_input_is_left_alone(gray_model):
    image = noise(13, 13)
    image.flags.writeable = False
    before = image.copy()
    restore(gray_model, image[::-1])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("photo.png", TypeError, "must be a NumPy array or a PIL image. Received: str"),
        (np.zeros((4, 4), "int32"), TypeError, "must be uint8, uint16 or float. Received: dtype=int32"),
        (np.zeros((4, 4), bool), TypeError, "must be uint8, uint16 or float. Received: dtype=bool"),
        (np.zeros((4, 4, 2), "uint8"), ValueError, "Received: shape=\\(4, 4, 2\\)"),
        (np.zeros((2, 4, 4, 3), "uint8"), ValueError, "Received: shape=\\(2, 4, 4, 3\\)"),
        (np.zeros((0, 4), "uint8"), ValueError, "at least a pixel"),
        (Image.new("I", (0, 4)), ValueError, "at least a pixel"),
        (np.full((4, 4), np.nan), ValueError, "must be finite"),
        (np.full((4, 4), 255.0), ValueError, "about 0 to 1, black to white. Received: 255 to 255; divide"),
        (np.full((4, 4), -17.0), ValueError, "about 0 to 1, black to white. Received: -17 to -17"),
        (np.full((4, 4), np.inf), ValueError, "must be finite"),
    ],
)
def test_bad_images(gray_model, image, error, message):
    with pytest.raises(error, match=message):
        restore(gray_model, image)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"color": "gray"}, "`color` must be one of .* Received: color='gray'"),
        ({"tile": 0}, "`tile` must be .* Received: tile=0"),
        ({"tile": "big"}, "`tile` must be .* Received: tile='big'"),
        ({"orientations": 4}, "`orientations` must be 1 or 8. Received: orientations=4"),
    ],
)
def test_bad_options(gray_model, option, message):
    with pytest.raises(ValueError, match=message):
        restore(gray_model, noise(4, 4), **option)
    if "color" not in option:
        with pytest.raises(ValueError, match=message):
            upscale(gray_model, noise(4, 4), (8, 8), **option)


def test_numbers_of_no_16_bits_are_refused(gray_model):
    with pytest.raises(ValueError, match="A gray PIL image must be 16-bit. Received: values 70000 to 70000"):
        restore(gray_model, Image.fromarray(np.full((4, 4), 70_000, np.int32)))


def test_tiles_that_do_not_fit_in_memory_are_told(gray_model, monkeypatch):
    import tensorflow as tf

    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(tf, "function", lambda *arguments, **options: exhausted)
    with pytest.raises(MemoryError, match="Not enough memory for tiles of 12x14 pixels: choose a smaller `tile`"):
        restore(keras.models.clone_model(gray_model), noise(11, 13, 1))


def test_upscale_restores_the_luminance_of_the_enlarged_image(gray_model):
    image = noise(20, 30, 3)
    enlarged = resize(image, (50, 61))
    np.testing.assert_allclose(
        upscale(gray_model, image, (50, 61)), restore(gray_model, enlarged, color="luminance"), atol=1e-6
    )


def test_a_gray_image_is_all_luminance(gray_model):
    image = noise(20, 30, 1)
    of_equal_colours = restore(gray_model, np.repeat(image, 3, axis=2), color="luminance")
    restored = restore(gray_model, image, color="luminance")
    np.testing.assert_allclose(np.repeat(restored, 3, axis=2), of_equal_colours, atol=1e-5)
    assert np.abs(restored - restore(gray_model, image)).max() > 1e-3
    assert restored.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_hidden_colours_stay_and_do_not_matter(color_model, dtype):
    image = noise(40, 50, 4) if dtype == np.float32 else np.uint8(255 * noise(40, 50, 4))
    image[..., 3] = image.max()
    image[10:, 5:45, 3] = 0
    other = image.copy()
    other[10:, 5:45, :3] = image.min()
    restored, of_other = restore(color_model, image), restore(color_model, other)
    seen = image[..., 3] > 0
    np.testing.assert_array_equal(restored[seen], of_other[seen])
    np.testing.assert_array_equal(restored[~seen], image[~seen])
    np.testing.assert_array_equal(of_other[~seen], other[~seen])
    assert np.abs(restored[seen] - image[seen].astype(float)).max() > 1e-3


def test_what_is_hidden_is_filled_with_what_is_beside_it():
    image = np.dstack([np.full((21, 34), 0.25), np.full((21, 34), 0.75), np.zeros((21, 34)), np.zeros((21, 34))])
    image[3:9, 7:11, 2:] = 1
    image[image[..., 3] == 0, :3] = 0.5
    filled = fill_hidden(image.astype(np.float32))
    np.testing.assert_allclose(filled[..., :3], np.broadcast_to((0.25, 0.75, 1), (21, 34, 3)), atol=1e-5)
    np.testing.assert_array_equal(filled[..., 3], image[..., 3])
    for alpha in (1e-12, 1e-50, -1):
        image[3:9, 7:11, 3] = np.where(np.eye(6, 4), 1, alpha)
        filled = fill_hidden(image)
        np.testing.assert_allclose(filled[..., :3], np.broadcast_to((0.25, 0.75, 1), (21, 34, 3)), atol=1e-5)
    nothing = np.zeros((4, 5, 4), np.uint8)
    np.testing.assert_array_equal(fill_hidden(nothing), nothing)


def test_colours_of_a_picture_that_is_all_hidden_stay(color_model):
    image = noise(9, 8, 4)
    image[..., 3] = 0
    np.testing.assert_array_equal(restore(color_model, image), image)


@pytest.mark.parametrize("scale", [1.5, 2, 3, 5])
def test_hidden_colours_do_not_matter_for_enlarging(gray_model, scale):
    image = np.uint8(255 * noise(20, 24, 4))
    image[..., 3] = 255
    image[:, 12:] = 0
    other = image.copy()
    other[:, 12:, :3] = 255
    np.testing.assert_array_equal(*(upscale(gray_model, x, scale=scale) for x in (image, other)))


@pytest.mark.parametrize("channels", [3, 4])
def test_upscale_enlarges_by_less_than_2_in_two_steps(gray_model, channels):
    image = noise(20, 30, channels)
    image[..., 3:] = 1
    twice = upscale(gray_model, image, (40, 66))
    np.testing.assert_allclose(upscale(gray_model, image, (25, 66)), resize(twice, (25, 66)), atol=1e-5)
    np.testing.assert_array_equal(upscale(gray_model, image, (20, 30)), image)


def test_upscale_enlarges_by_more_than_4_in_steps(gray_model):
    image = noise(11, 12, 3)
    once = upscale(gray_model, image, (26, 29))
    np.testing.assert_allclose(upscale(gray_model, image, (60, 72)), upscale(gray_model, once, (60, 72)), atol=1e-6)
    assert upscale(gray_model, image, (11, 72)).shape == (11, 72, 3)


def test_an_axis_that_is_enlarged_little_does_not_grow_with_the_other(gray_model, monkeypatch):
    def upscaled(network, pixels, size, *_):
        sizes.append(size)
        return resize(pixels, size)

    sizes = []
    monkeypatch.setattr(module, "_upscaled", upscaled)
    assert upscale(gray_model, noise(16, 300, 3), (1080, 320)).shape == (1080, 320, 3)
    assert sizes == [(46, 600), (131, 640), (377, 640), (1080, 640)]


@pytest.mark.parametrize("hidden", [False, True])
def test_strips_leave_no_trace(gray_model, monkeypatch, hidden):
    image = noise(21, 30, 4)
    image[1:16, 4:, 3] *= not hidden
    in_one = upscale(gray_model, image, (31, 40))
    monkeypatch.setattr(module, "STRIP", 2)
    np.testing.assert_array_equal(upscale(gray_model, image, (31, 40)), in_one)


def test_upscale_averages_over_orientations(gray_model):
    image = noise(20, 30, 3)
    averaged = upscale(gray_model, image, (50, 61), orientations=8)
    expected = restore(gray_model, resize(image, (50, 61)), color="luminance", orientations=8)
    np.testing.assert_allclose(averaged, expected, atol=1e-6)
    assert np.abs(averaged - upscale(gray_model, image, (50, 61))).max() > 1e-3


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_upscale_takes_every_kind(gray_model, mode):
    image = Image.fromarray((255 * noise(20, 30, 3)).astype("uint8"))
    image = Image.fromarray((60_000 * noise(20, 30)).astype("uint16")) if mode == "I;16" else image.convert(mode)
    enlarged = upscale(gray_model, image, (40, 61))
    assert enlarged.size == (61, 40)
    assert enlarged.mode == {"P": "RGB"}.get(mode, mode)
    array = np.asarray(image.convert("RGB") if mode == "P" else image)
    if mode != "LA":
        np.testing.assert_array_equal(np.asarray(enlarged), upscale(gray_model, array, (40, 61)))


def test_upscale_interpolates_alpha(gray_model):
    image = np.concatenate([noise(20, 30, 3), np.full((20, 30, 1), 0.25, "float32")], axis=2)
    np.testing.assert_allclose(upscale(gray_model, image, (40, 60))[..., 3], 0.25, atol=1e-6)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "array"])
def test_what_alpha_hides_does_not_color_the_edges_of_what_it_shows(mode):
    pixels = np.zeros((20, 24, 4), np.uint8)
    pixels[5:15, 7:18] = 255  # a white square; black is hidden
    image = pixels if mode == "array" else Image.fromarray(pixels).convert(mode)
    enlarged = np.asarray(upscale(REDNet(10, filters=4), image, (50, 61)))  # a fresh network leaves it as it is
    color, alpha = enlarged[..., :-1], enlarged[..., -1]
    assert len(np.unique(alpha)) > 5
    assert color[alpha > 0].min() == 255
    assert color[alpha == 0].min() == 255  # nothing else is near that


def test_little_alpha_makes_no_colors_that_the_picture_has_not():
    image = np.zeros((24, 24, 4), "float32")
    image[:, :12] = 0.08, 0.08, 0.08, 1
    image[:, 12] = 1, 1, 1, 0.11  # the quotient of what bicubic lobes leave of both would be 10
    enlarged = upscale(REDNet(10, filters=4), image, (48, 48))  # a fresh network leaves it as it is
    faint = (enlarged[..., 3] > 1 / 512) & (enlarged[..., 3] < 511 / 512)
    assert faint.any()
    assert enlarged[faint][:, :3].max() <= 1 + 1e-6
    assert enlarged[faint][:, :3].min() >= -1e-6


@pytest.mark.parametrize("tile", [16, "auto", None])
def test_upscale_in_tiles_equals_the_whole(gray_model, tile):
    image = np.concatenate([noise(40, 30, 3), noise(40, 30, 1)], axis=2)
    in_one = upscale(gray_model, image, (91, 64), tile=None)
    np.testing.assert_allclose(upscale(gray_model, image, (91, 64), tile=tile), in_one, atol=1e-5)


def test_what_is_hidden_is_filled_with_little_memory():
    image = np.zeros((2000, 1500, 4), np.uint8)
    image[300:, :, 3] = 255
    tracemalloc.start()
    try:
        filled = fill_hidden(image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * filled.nbytes


def test_upscale_keeps_little_in_memory(gray_model):
    image = np.zeros((400, 500, 3), np.uint8)
    upscale(gray_model, image[:40, :50], (80, 100))  # compiles
    tracemalloc.start()
    try:
        enlarged = upscale(gray_model, image, (1600, 2000), tile=128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * enlarged.nbytes


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (((4, 5), 60), r"`size` must be \(height, width\), whole numbers of pixels. Received: size=\(\(4, 5\), 60\)"),
        ((19, 60), r"`size` must be at least the image's, .* \(20, 30\). Received: size=\(19, 60\)"),
        (60, r"`size` must be \(height, width\), whole numbers of pixels. Received: size=60"),
        (np.array(60), r"`size` must be \(height, width\), whole numbers of pixels. Received: size=array\(60\)"),
        ((40.0, 60.0), r"whole numbers of pixels. Received: size=\(40.0, 60.0\)"),
        ((40, 60, 3), r"`size` must be \(height, width\)"),
    ],
)
def test_bad_sizes(gray_model, size, message):
    with pytest.raises(ValueError, match=message):
        upscale(gray_model, noise(20, 30), size)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32])
def test_numpys_numbers_do_not_overflow(gray_model, kind):
    image = noise(100, 120)
    for size in ((kind(200), kind(240)), np.array([200, 240], kind)) if kind != np.uint8 else ():
        np.testing.assert_array_equal(
            upscale(gray_model, image, size, tile=kind(90)), upscale(gray_model, image, (200, 240), tile=90)
        )
    np.testing.assert_array_equal(restore(gray_model, image, tile=kind(50)), restore(gray_model, image, tile=50))


@pytest.mark.parametrize(
    ("scale", "size"), [(1, (20, 31)), (1.5, (30, 46)), (np.int64(3), (60, 93)), (np.uint8(9), (180, 279))]
)
def test_a_scale_stands_for_a_size(gray_model, scale, size):
    image = noise(20, 31)
    np.testing.assert_array_equal(upscale(gray_model, image, scale=scale), upscale(gray_model, image, size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give either `size` or `scale`. Received: size=None, scale=None"),
        ({"size": (40, 60), "scale": 2}, r"Give either `size` or `scale`. Received: size=\(40, 60\), scale=2"),
        ({"scale": 0.5}, "`scale` must be a number of at least 1. Received: scale=0.5"),
        ({"scale": float("nan")}, "`scale` must be a number of at least 1. Received: scale=nan"),
        ({"scale": "2"}, "`scale` must be a number of at least 1. Received: scale='2'"),
    ],
)
def test_bad_scales(gray_model, options, message):
    with pytest.raises(ValueError, match=message):
        upscale(gray_model, noise(20, 30), **options)


def test_a_transparent_color_of_a_pil_image_becomes_alpha(gray_model):
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    image.info["transparency"] = 9
    for restored in (restore(gray_model, image), upscale(gray_model, image, (16, 16))):
        assert restored.mode == "LA"
        assert restored.getpixel((9, 0))[1] == 0
        assert restored.getpixel((8, 0))[1] == 255


def test_16_bits_with_a_transparent_color(gray_model):
    image = Image.fromarray(np.zeros((4, 4), np.uint16))
    image.info["transparency"] = 9
    with pytest.raises(ValueError, match="of 16 bits must have no transparent colour. Convert it to RGBA first"):
        restore(gray_model, image)


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_numbers_of_either_byte_order(gray_model, kind):
    image = noise(9, 11) if kind == "f4" else (noise(9, 11) * 65535).astype("uint16")
    restored = restore(gray_model, image.astype(f">{kind}"))
    assert restored.dtype == np.dtype(f">{kind}")
    np.testing.assert_array_equal(restored, restore(gray_model, image.astype(f"<{kind}")))


class Subclassed(keras.Model):
    pass


@pytest.mark.parametrize("model", [Subclassed(), keras.Sequential([keras.layers.ReLU()])], ids=str)
def test_refuses_models_that_are_not_functional(model):
    with pytest.raises(TypeError, match=f"a functional model with one input, .* Received: {type(model).__name__}"):
        restore(model, noise(4, 4))


@pytest.mark.parametrize("model", [None, "RED30"])
def test_refuses_what_is_no_network(model):
    with pytest.raises(TypeError, match=f"`model` must be a RED-Net, .* Received: {type(model).__name__}"):
        restore(model, noise(4, 4))


def test_refuses_networks_of_other_channels():
    with pytest.raises(ValueError, match="`model` must have 1 or 3 channels. Received: 4 channels"):
        restore(REDNet(10, filters=4, channels=4), noise(4, 4, 4))
