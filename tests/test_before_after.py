import re

import numpy as np
from PIL import Image

from keras_rednet import weights
from recipes import before_after, contact


def test_draws_the_tasks_that_have_networks(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(before_after, "RESULTS", tmp_path)
    monkeypatch.setattr(contact, "sheet", lambda rows: titles.append(rows) or SHEET(rows))
    monkeypatch.setattr(before_after, "PICTURES", {"denoise.png": ("denoise", "30")})
    before_after.main()
    with Image.open(tmp_path / "denoise.png") as image:
        assert image.width > 3 * contact.SIDE
    ((row_title, row),) = titles[0].items()
    assert row_title == "denoise 30"
    corrupted, restored, original = row
    assert original == "original"
    before, after = (float(re.search(r"([\d.]+) dB", title)[1]) for title in (corrupted, restored))
    assert after > before + 10
    errors = [np.mean((row[title] - row[original]) ** 2) for title in (corrupted, restored)]
    assert errors[1] < 0.2 * errors[0]


def test_a_task_without_networks_has_no_picture(monkeypatch):
    monkeypatch.setattr(weights, "records", dict)
    assert before_after.picture("deblur", "disk") is None


SHEET = contact.sheet
