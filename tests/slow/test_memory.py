import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from keras_rednet import RED30, restore
model = RED30(weights=None, downsample_at={downsample_at})
image = np.random.default_rng(0).integers(0, 255, (4000, 6000, {channels}), "uint8")
assert restore(model, image).shape == image.shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "downsample_at"), [(3, (1,)), (4, (1,)), (1, ())])
def test_24_megapixels_in_less_than_2_gb(channels, downsample_at):
    program = PROGRAM.format(channels=channels, downsample_at=downsample_at)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 2_000_000  # KiB, the interpreter and TensorFlow included
