import numpy as np
import pytest

from keras_rednet.color import luminance, rgb_to_ycbcr, ycbcr_to_rgb


# MATLAB's rgb2ycbcr of pure colours, double precision times 255, as its documentation's formula gives them.
@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((1, 1, 1), (235, 128, 128)),
        ((1, 0, 0), (81.481, 90.203, 240)),
        ((0, 1, 0), (144.553, 53.797, 34.214)),
        ((0, 0, 1), (40.966, 240, 109.786)),
    ],
)
def test_ycbcr(rgb, ycbcr):
    np.testing.assert_allclose(255 * rgb_to_ycbcr(np.array([[rgb]])), [[ycbcr]], atol=1e-3)


def test_round_trip_and_luminance():
    rgb = np.random.default_rng(0).random((5, 6, 3))
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-5)
    np.testing.assert_array_equal(luminance(rgb), rgb_to_ycbcr(rgb)[..., :1])


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb, luminance])
def test_needs_three_channels(function):
    with pytest.raises(ValueError, match=r"3 channels in its last axis. Received: shape=\(4, 4, 1\)"):
        function(np.zeros((4, 4, 1)))
