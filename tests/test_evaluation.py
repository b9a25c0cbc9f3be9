import numpy as np
import pytest

from keras_rednet import Protocol, dataset, evaluate, ssim
from keras_rednet.corruptions import GaussianNoise

NOISE = GaussianNoise((30, 30))


def images(count):
    rng = np.random.default_rng(0)
    return [(f"image {i}", rng.random((32, 40, 1), "float32")) for i in range(count)]


def test_rows_and_mean():
    rows = evaluate(lambda corrupted: 0.5 * corrupted, images(3), NOISE, Protocol())
    assert [row["image"] for row in rows] == ["image 0", "image 1", "image 2", "mean"]
    for column in ("psnr_corrupted", "ssim_corrupted", "psnr", "ssim"):
        assert rows[-1][column] == pytest.approx(np.mean([row[column] for row in rows[:-1]]))
    assert rows[-1]["psnr_corrupted"] == pytest.approx(18.6, abs=0.3)
    assert rows[-1]["psnr"] != rows[-1]["psnr_corrupted"]


@pytest.mark.parametrize("quantized", [False, True])
def test_a_perfect_restorer_is_perfect_and_a_lazy_one_gains_nothing(quantized):
    protocol = Protocol(quantized=quantized)
    clean = [(name, np.rint(255 * image) / 255) for name, image in images(1)]
    perfect = evaluate(lambda corrupted: clean[0][1], clean, NOISE, protocol)[-1]
    assert (perfect["psnr"], perfect["ssim"]) == (np.inf, pytest.approx(1))
    lazy = evaluate(lambda corrupted: corrupted, clean, NOISE, protocol)[-1]
    assert (lazy["psnr"], lazy["ssim"]) == (lazy["psnr_corrupted"], lazy["ssim_corrupted"])


def test_an_image_that_the_corruption_spared_does_not_hide_the_others():
    def spares_the_first(clean, seed):
        return clean if seed[1] == 0 else NOISE(clean, seed=seed)

    rows = evaluate(lambda corrupted: corrupted, images(3), spares_the_first, Protocol())
    assert rows[0]["psnr"] == np.inf
    for column in ("psnr_corrupted", "psnr"):
        assert rows[-1][column] == pytest.approx(np.mean([row[column] for row in rows[1:3]]))
    assert np.isnan(evaluate(lambda corrupted: corrupted * np.nan, images(2), NOISE, Protocol())[-1]["psnr"])


def test_the_seed_decides_the_noise_and_every_image_has_its_own():
    seen = []
    same = [("a", np.zeros((16, 16, 1), "float32"))] * 2
    for seed in (0, 0, 1):
        evaluate(lambda corrupted: seen.append(corrupted) or corrupted, same, NOISE, Protocol(seed=seed))
    np.testing.assert_array_equal(seen[0], seen[2])
    assert not np.allclose(seen[0], seen[1])
    assert not np.allclose(seen[0], seen[4])


def test_quantized_scores_8_bit_values():
    clean = [("a", np.full((16, 16, 1), 100 / 255, "float32"))]
    almost = np.full((16, 16, 1), 100.4 / 255)
    assert evaluate(lambda _: almost, clean, NOISE, Protocol(quantized=True))[-1]["psnr"] > 100
    assert evaluate(lambda _: almost, clean, NOISE, Protocol())[-1]["psnr"] < 60


def test_images_are_cropped_to_a_multiple_before_they_are_corrupted():
    seen = []

    def corruption(clean, seed):
        seen.append(clean)
        return NOISE(clean, seed=seed)

    clean = [("a", np.random.default_rng(0).random((35, 50, 1), "float32"))]
    evaluate(lambda corrupted: seen.append(corrupted) or corrupted, clean, corruption, Protocol(multiple=4))
    np.testing.assert_array_equal(seen[0], clean[0][1][:32, :48])
    assert abs(255 * (seen[1] - seen[0]).std() - 30) < 3


def test_the_border_that_is_shaved_does_not_count():
    ((_, clean),) = images(1)
    wrong = 1 - clean
    wrong[4:-4, 4:-4] = clean[4:-4, 4:-4]
    scores = [evaluate(lambda _: wrong, [("a", clean)], NOISE, Protocol(shave=shave))[0] for shave in (4, 3)]
    assert (scores[0]["psnr"], scores[0]["ssim"]) == (np.inf, pytest.approx(1))
    assert scores[1]["psnr"] < 30
    assert scores[1]["ssim"] < 0.9999


def test_ssim_is_that_of_what_was_restored():
    ((_, clean),) = images(1)
    (row, _) = evaluate(lambda corrupted: (corrupted + 0.5) / 2, [("a", clean)], NOISE, Protocol())
    corrupted = np.asarray(NOISE(clean, seed=(0, 0)))
    assert row["ssim"] == pytest.approx(ssim(clean, (corrupted + 0.5) / 2, data_range=1.0))
    assert row["ssim_corrupted"] == pytest.approx(ssim(clean, corrupted, data_range=1.0))


def test_no_restorer_scores_the_corrupted_images():
    row = evaluate(None, images(1), NOISE, Protocol())[0]
    assert (row["psnr"], row["ssim"]) == (row["psnr_corrupted"], row["ssim_corrupted"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "grey"}, r"`color` must be one of \['gray', 'luminance', 'rgb'\]. Received: color='grey'"),
        ({"multiple": 0}, "`multiple` must be a whole number of at least 1. Received: multiple=0"),
        ({"shave": -1}, "`shave` must be a whole number of at least 0. Received: shave=-1"),
        ({"shave": 1.5}, "Received: shave=1.5"),
        ({"orientations": 4}, "`orientations` must be 1 or 8. Received: orientations=4"),
    ],
)
def test_bad_protocols(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "rgb"}, r"image 0 must have the shape \[h, w, 3\], as rgb has. Received: shape=\(32, 40, 1\)"),
        ({"multiple": 64}, r"image 0 must have at least 11 pixels a side once it is cut. Received: \(32, 40\)"),
        ({"shave": 12}, "cut to multiples of 1 and by 12 on each side"),
    ],
)
def test_names_the_image_that_cannot_be_scored(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(None, images(1), NOISE, Protocol(**options))


def test_names_the_image_of_8_bits():
    with pytest.raises(ValueError, match="photo must be float32 in .* divide 8-bit values by 255. Received: uint8"):
        evaluate(None, [("photo", np.zeros((32, 40, 1), np.uint8))], NOISE, Protocol(color="gray"))


def test_no_images():
    with pytest.raises(ValueError, match="`images` must hold at least one"):
        evaluate(None, [], NOISE, Protocol())


@pytest.mark.parametrize(("sigma", "noisy"), [(10, 28.14), (30, 18.60), (50, 14.16), (70, 11.24)])
def test_noisy_set12_as_measured_elsewhere(test_images, sigma, noisy):
    paths = dataset.list_images(test_images / "set12")
    clean = [(path.name, dataset.read_image(path, color="gray").astype("float32") / 255) for path in paths]
    mean = evaluate(lambda corrupted: corrupted, clean, GaussianNoise((sigma, sigma)), Protocol())[-1]
    assert mean["psnr_corrupted"] == pytest.approx(noisy, abs=0.03)  # another draw of the noise
