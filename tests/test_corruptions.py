"""Laws that every corruption obeys, and what each is for."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rednet.corruptions import GaussianNoise

REGISTRY = {
    "noise 25": GaussianNoise((25, 25)),
    "noise 0-75": GaussianNoise((0, 75)),
}
ZERO_STRENGTH = {"noise 0": GaussianNoise((0, 0))}
CLEAN = np.random.default_rng(0).random((17, 23, 3), "float32")


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("channels", [1, 3])
def test_keeps_shape_and_type(name, channels):
    corrupted = REGISTRY[name](CLEAN[..., :channels], seed=(1, 2))
    assert corrupted.shape == (17, 23, channels)
    assert corrupted.dtype == tf.float32
    assert np.abs(corrupted - CLEAN[..., :channels]).max() > 0


@pytest.mark.parametrize("name", REGISTRY)
def test_is_a_function_of_image_and_seed(name):
    corrupt = REGISTRY[name]
    np.testing.assert_array_equal(corrupt(CLEAN, seed=(1, 2)), corrupt(CLEAN, seed=(1, 2)))
    assert not np.allclose(corrupt(CLEAN, seed=(1, 2)), corrupt(CLEAN, seed=(1, 3)))
    assert not np.allclose(corrupt(CLEAN, seed=(1, 2)), corrupt(CLEAN, seed=(2, 2)))


@pytest.mark.parametrize("name", REGISTRY)
def test_eager_equals_tf_data(name):
    images = tf.data.Dataset.from_tensors(CLEAN).repeat(4).enumerate()
    mapped = images.map(
        lambda i, clean: REGISTRY[name](clean, tf.stack([7, tf.cast(i, tf.int32)])), num_parallel_calls=4
    )
    for i, corrupted in enumerate(mapped):
        np.testing.assert_allclose(corrupted, REGISTRY[name](CLEAN, seed=(7, i)), atol=1e-6)


@pytest.mark.parametrize("name", ZERO_STRENGTH)
def test_zero_strength_is_the_identity(name):
    np.testing.assert_array_equal(ZERO_STRENGTH[name](CLEAN, seed=(1, 2)), CLEAN)


@pytest.mark.parametrize(
    "sigma_range", [25, (25,), (50, 10), (-1, 5), [0, 75], (0, float("inf")), (0, float("nan")), ("a", "b")]
)
def test_noise_refuses_a_bad_range(sigma_range):
    with pytest.raises(ValueError, match="`sigma_range` must be a pair 0 <= low <= high .* Received: sigma_range="):
        GaussianNoise(sigma_range)


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
