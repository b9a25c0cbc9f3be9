import numpy as np
import pytest
from conftest import RECORD
from test_model import with_random_weights

from keras_rednet import RED10, weights
from recipes import blend


def saved(folder, factor=1, filters=4, downsample_at=(1,)):
    recipe = {"depth": 10, "task": "denoise", "level": "blind", "channels": 1, "downsample_at": [*downsample_at]}
    model = with_random_weights(RED10(filters=filters, downsample_at=downsample_at, weights=None))
    model.set_weights([factor * array for array in model.get_weights()])
    folder.mkdir()
    record = {**RECORD, "recipe": recipe | {"filters": filters}, "validation_psnr": {"sigma 30": 27.0}}
    weights.save(model, folder / "weights.npz", record)
    return folder / "weights.npz", model.get_weights()


def test_blends_weights_and_tells_of_which(tmp_path):
    (before, first), (after, _) = saved(tmp_path / "before"), saved(tmp_path / "after", factor=3)
    blend.main([str(before), str(after), "--share", "0.75", "--out", str(tmp_path / "new")])
    path = tmp_path / "new" / "weights.npz"
    blended = RED10(filters=4, downsample_at=(1,), weights=path).get_weights()
    for array, of_both in zip(first, blended, strict=True):
        np.testing.assert_allclose(of_both, (0.25 + 0.75 * 3) * array, rtol=2e-3, atol=1e-3)  # float16 on disk
    record = weights.read_record(path)
    hashes = [weights.read_record(path)["sha256"] for path in (before, after)]
    of = [f"{name}/weights.npz {sha256}" for name, sha256 in zip(("before", "after"), hashes, strict=True)]
    assert record["blended"] == {"before": of[0], "after": of[1], "share": 0.75}
    assert record["validation_psnr"] == {}  # nothing was measured
    with pytest.raises(SystemExit):
        blend.main([str(before), str(after), "--out", str(tmp_path / "new")])
    assert weights.read_record(path) == record


@pytest.mark.parametrize("other", [{"filters": 6}, {"downsample_at": ()}, {"downsample_at": (3,)}])
def test_blends_no_networks_that_differ(other, tmp_path):
    (before, _), (after, _) = saved(tmp_path / "before"), saved(tmp_path / "after", **other)
    with pytest.raises(ValueError, match="`before` and `after` must be of the same network. Received: .*before"):
        blend.blend(str(before), str(after), 0.5)
    with pytest.raises(ValueError, match="`share` must be from 0 to 1. Received: share=1.5"):
        blend.blend(str(before), str(before), 1.5)
