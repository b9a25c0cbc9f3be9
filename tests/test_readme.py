"""What the README promises first: `make demo`, and its examples in Python."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_rednet import RED20, psnr
from recipes import demo, tables

README = (tables.FOLDER.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_demo(tmp_path, capsys):
    demo.main(tmp_path / "demo")
    before, after = map(float, re.findall(r"[0-9.]+(?= dB)", capsys.readouterr().out))
    with Image.open(demo.SAMPLE) as sample:
        clean = np.asarray(sample.convert("RGB"))
    pictures = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "demo").iterdir()}
    assert set(pictures) == {"noisy", "restored", "comparison"}
    for name, printed in (("noisy", before), ("restored", after)):
        assert psnr(clean, pictures[name], data_range=255) == pytest.approx(printed, abs=0.006)
    assert after > before + 10
    width, gap = clean.shape[1], demo.GAP
    for i, expected in enumerate((pictures["noisy"], pictures["restored"], clean)):
        start = i * (width + gap)
        np.testing.assert_array_equal(pictures["comparison"][:, start : start + width], expected)


def difference(model, other):
    return max(np.abs(a - b).max() for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def test_examples_in_python(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Image.open(photos / "photo0.png") as photo:
        photo.save("photo.jpg", exif=photo.getexif())
    names = {}
    shutil.copytree(photos, "photos")
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        exec(example.replace("epochs=8", "epochs=1"), names)
    assert Image.open("restored.png").size == names["photo"].size == (90, 70)
    assert (names["restored"].shape, names["restored"].dtype) == ((480, 640, 3), np.uint8)
    assert {names[name].size for name in ("sharp", "clean", "smooth")} == {(90, 70)}
    assert names["large"].size == (180, 140)
    trained = RED20(weights="mine.keras", channels=3, downsample_at=(1,))
    assert difference(trained, names["model"]) == 0 < difference(trained, RED20(channels=3, downsample_at=(1,)))
    assert len({names[name].tobytes() for name in ("photo", "sharp", "clean", "smooth")}) == 4
