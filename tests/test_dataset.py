import hashlib
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from keras_rednet import dataset
from keras_rednet.color import luminance
from keras_rednet.corruptions import GaussianNoise
from keras_rednet.photos import jobs


def patches(photos, *, epoch=0, **changes):
    options = {"color": "gray", "patch_size": 24, "patches_per_image": 5, "batch_size": 4, "seed": 1, **changes}
    images = options.pop("images", None) or dataset.from_files(dataset.list_images(photos))
    if not isinstance(epoch, tf.Variable):
        epoch = tf.Variable(epoch, dtype=tf.int64, trainable=False)
    return dataset.training_patches(images, GaussianNoise((25, 25)), epoch=epoch, **options)


def digest(pairs):
    return [
        hashlib.sha1(corrupted.numpy().tobytes() + clean.numpy().tobytes()).hexdigest() for corrupted, clean in pairs
    ]


@pytest.mark.parametrize(("color", "channels"), [("gray", 1), ("luminance", 1), ("rgb", 3)])
def test_patches(photos, color, channels):
    pairs = list(patches(photos, color=color))
    assert len(pairs) == patches(photos).cardinality() == 6 * 5 // 4
    for corrupted, clean in pairs:
        assert corrupted.shape == clean.shape == (4, 24, 24, channels)
        assert corrupted.dtype == clean.dtype == tf.float32
        assert 0 <= np.min(clean) <= np.max(clean) <= 1
    noise = np.concatenate([corrupted - clean for corrupted, clean in pairs])
    assert abs(255 * noise.std() - 25) < 1


def all_windows(images):
    """Returns the bytes of all 24x24 parts of images."""
    views = [np.lib.stride_tricks.sliding_window_view(image, (24, 24)) for image in images]
    return {window.tobytes() for view in views for row in view for window in row}


def test_patches_are_crops_of_the_images_in_all_orientations(photos):
    images = [dataset.read_image(path, color="gray") for path in dataset.list_images(photos)]
    windows = all_windows(image[..., 0] for image in images)
    seen = set()
    for _, clean in patches(photos, patches_per_image=16):
        for patch in np.rint(255 * clean.numpy()[..., 0]).astype("uint8"):
            matches = {
                (transposed, flipped)
                for transposed, turned in enumerate((patch, patch.T))
                for flipped, candidate in enumerate((turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]))
                if candidate.tobytes() in windows
            }
            assert matches
            seen |= matches
    assert len(seen) == 8


@pytest.mark.parametrize(("scale", "size"), [(0.5, (45, 35)), (0.1, (24, 24)), (1.5, (135, 105))])
def test_images_are_resized_before_patches_are_cut(photos, scale, size):
    resized = [Image.open(path).convert("L").resize(size, Image.Resampling.BICUBIC) for path in photos.iterdir()]
    windows = all_windows(np.asarray(image) for image in resized)
    for _, clean in patches(photos, scale_range=(scale, scale)):
        for patch in np.rint(255 * clean.numpy()[..., 0]).astype("uint8"):
            turned = [rotated for image in (patch, patch.T) for rotated in (np.rot90(image, k) for k in range(4))]
            assert any(image.tobytes() in windows for image in turned)


def test_scales_are_drawn_anew_each_time(photos):
    first, second = (list(patches(photos, epoch=epoch, scale_range=(0.4, 1.5))) for epoch in (0, 1))
    assert not np.allclose(first[0][1], second[0][1])
    assert digest(first) == digest(patches(photos, epoch=0, scale_range=(0.4, 1.5)))


def test_scales_are_drawn_evenly_in_their_logarithm(photos, monkeypatch):
    factors = []
    monkeypatch.setattr(dataset, "_resized", lambda image, factor, _: factors.append(factor) or image)
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    pairs = patches(photos, epoch=epoch, scale_range=(0.25, 4))
    for i in range(50):
        epoch.assign(i)
        list(pairs)
    logarithms = np.log2(factors)
    assert logarithms.min() > -2.001
    assert logarithms.max() < 2.001
    assert abs(logarithms.mean()) < 0.35  # drawn evenly, factors would have 0.9 here
    assert abs(logarithms.std() - 4 / 12**0.5) < 0.25


def test_takes_a_list_of_files_only(photos):
    with pytest.raises(TypeError, match="must be a list of files, such as list_images"):
        dataset.from_files(str(photos))


@pytest.mark.parametrize("color", ["gray", "luminance", "rgb"])
def test_reads_lab(color, tmp_path):
    Image.new("LAB", (5, 4), (200, 128, 128)).save(tmp_path / "lab.tif")
    assert dataset.read_image(tmp_path / "lab.tif", color=color).shape == (4, 5, 3 if color == "rgb" else 1)


@pytest.mark.parametrize("pair", [(-1, 1), (0.5, 17), (0.9, 0.5), (0.5,), 0.5, None, ("a", "b"), ((1, 2), 3)])
@pytest.mark.parametrize(("name", "limit"), [("scale_range", "<"), ("contrast_range", "<"), ("grain_range", "<=")])
def test_refuses_a_bad_range(photos, name, limit, pair):
    with pytest.raises(ValueError, match=f"`{name}` must be a pair 0 {limit} low <= high <= 16. Received: {name}="):
        patches(photos, **{name: pair})


@pytest.mark.parametrize("name", ["scale_range", "contrast_range"])
def test_refuses_a_factor_of_zero(photos, name):
    with pytest.raises(ValueError, match=f"`{name}` must be a pair 0 < low"):
        patches(photos, **{name: (0, 1)})


def test_the_contrast_of_a_patch_grows_about_its_mean(photos):
    plain, strong = ([clean.numpy() for _, clean in patches(photos, contrast_range=(c, c))] for c in (1, 1.2))
    for before, after in zip(np.concatenate(plain), np.concatenate(strong), strict=True):
        expected = np.clip(before.mean() + 1.2 * (before - before.mean()), 0, 1)
        np.testing.assert_allclose(after, expected, atol=0.51 / 255)
    assert digest(patches(photos, contrast_range=(0.5, 2))) == digest(patches(photos, contrast_range=(0.5, 2)))


def test_contrasts_differ_between_patches(photos):
    plain, drawn = ([clean.numpy() for _, clean in patches(photos, contrast_range=c)] for c in ((1, 1), (0.5, 2)))
    ratios = np.concatenate(drawn).std(axis=(1, 2, 3)) / np.concatenate(plain).std(axis=(1, 2, 3))
    assert ratios.min() < 0.8
    assert ratios.max() > 1.1


@pytest.mark.parametrize("color", ["gray", "rgb"])
def test_grain_of_the_strength_drawn_is_part_of_the_clean_patch(photos, color):
    options = {"color": color, "patch_size": 32, "contrast_range": (0.2, 0.2)}
    plain, grainy = (list(patches(photos, grain_range=(g, g), **options)) for g in (0, 4))
    for (noisy_before, before), (noisy_after, after) in zip(plain, grainy, strict=True):
        np.testing.assert_allclose(noisy_after - after, noisy_before - before, atol=1e-6)
        grain = 255 * (after - before).numpy()
        assert 3 < grain.std() < 5
        assert abs(grain.mean()) < 0.5
        patch = grain.reshape(4, -1)
        assert np.abs(np.corrcoef(patch) - np.eye(4)).max() < 0.2  # each patch has its own
    assert digest(patches(photos, grain_range=(0, 4))) == digest(patches(photos, grain_range=(0, 4)))


def test_grain_is_drawn_from_sharp_to_soft_and_of_all_strengths(photos):
    plain, grainy = (
        np.concatenate([clean for _, clean in patches(photos, grain_range=(0, g), contrast_range=(0.2, 0.2))])
        for g in (0, 8)
    )
    grain = 255 * (grainy - plain)
    steps = np.diff(grain, axis=1).std(axis=(1, 2, 3)) / grain.std(axis=(1, 2, 3))  # of white noise 1.41
    assert steps.min() < 1
    assert steps.max() > 1.2
    assert grain.std(axis=(1, 2, 3)).min() < 2
    assert grain.std(axis=(1, 2, 3)).max() > 5


def test_same_epoch_same_patches_other_epoch_other_patches(photos):
    assert digest(patches(photos, epoch=2)) == digest(patches(photos, epoch=2))
    assert not set(digest(patches(photos, epoch=2))) & set(digest(patches(photos, epoch=3)))
    assert not set(digest(patches(photos, seed=1))) & set(digest(patches(photos, seed=2)))


def test_every_epoch_has_an_order_of_its_own(tmp_path):
    for level in range(12):
        Image.new("L", (24, 24), 20 * level).save(tmp_path / f"{level}.png")
    orders = []
    for epoch in range(3):
        batches = patches(tmp_path, epoch=epoch, patches_per_image=1, batch_size=12)
        orders.append(tuple(np.rint(255 * clean.numpy()[:, 0, 0, 0] / 20).astype(int) for _, clean in batches))
    orders = [tuple(order[0]) for order in orders]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len(set(orders)) == 3


def test_of_an_image_that_would_fill_the_memory_a_part_is_taken(photos, monkeypatch):
    sizes = []
    resized = dataset._resized
    monkeypatch.setattr(dataset, "_resized", lambda *x: sizes.append((resized(*x).shape, x[1])) or resized(*x))
    whole = digest(patches(photos, scale_range=(2, 8), patches_per_image=3))
    assert max(np.prod(size) for size, _ in sizes) > 200_000
    sizes.clear()
    monkeypatch.setattr(dataset, "LARGEST", 20_000)
    first = digest(patches(photos, scale_range=(2, 8), patches_per_image=3))
    assert max(np.prod(size) for size, _ in sizes) <= 20_000
    assert np.mean([np.prod(size) for size, _ in sizes]) > 15_000
    assert first == digest(patches(photos, scale_range=(2, 8), patches_per_image=3)) != whole


@pytest.mark.parametrize("seed", [0, 5])
def test_tensorflows_global_seed_changes_nothing(photos, seed):
    expected = digest(patches(photos))
    tf.random.set_seed(seed)
    assert digest(patches(photos)) == expected
    assert tf.random.uniform([]) == (tf.random.set_seed(seed) or tf.random.uniform([]))  # nor is it changed


def test_the_epoch_is_read_when_it_begins(photos):
    images = dataset.from_files(dataset.list_images(photos))
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    options = {"color": "gray", "patch_size": 24, "patches_per_image": 5, "batch_size": 4, "seed": 1}
    pairs = dataset.training_patches(images, GaussianNoise((25, 25)), epoch=epoch, **options)
    first = digest(pairs)
    epoch.assign(1)
    assert digest(pairs) == digest(patches(photos, epoch=1)) != first


def test_epochs_count_themselves_where_no_number_is_given(photos):
    options = {"color": "gray", "patch_size": 24, "patches_per_image": 5, "batch_size": 4, "seed": 1}
    images = dataset.from_files(dataset.list_images(photos))
    pairs = dataset.training_patches(images, GaussianNoise((25, 25)), **options)
    for epoch in range(3):
        assert digest(pairs) == digest(patches(photos, epoch=epoch))


def test_images_are_mixed_in_groups_alike():
    for count in range(1, 900):
        mixed = dataset._mixed(count)
        assert mixed <= dataset.MIXED_IMAGES
        assert mixed % dataset.SHARED == 0
        assert mixed >= min(count, 32)
        assert count <= mixed or (count - 1) % mixed + 1 > mixed / 3  # of the last group


@pytest.mark.parametrize("processes", [2, 3])
def test_the_shards_of_a_batch_are_the_batch(photos, processes):
    options = {"epoch": 3, "batch_size": 6}
    whole = [[digest([pair]) for pair in zip(*batch, strict=True)] for batch in patches(photos, **options)]
    shards = [list(patches(photos, shard=(i, processes), **options)) for i in range(processes)]
    assert [len(shard) for shard in shards] == [len(whole)] * processes
    for batch, *parts in zip(whole, *shards, strict=True):
        together = [digest([pair]) for part in parts for pair in zip(*part, strict=True)]
        assert sorted(together) == sorted(batch)
    with pytest.raises(ValueError, match="a multiple of the number of processes. Received: batch_size=5, 2 processes"):
        patches(photos, shard=(0, 2), batch_size=5)


def test_processes_get_equally_many_batches(photos):
    shards = [list(patches(photos, shard=(i, 4), batch_size=4)) for i in range(4)]
    assert [len(shard) for shard in shards] == [5] * 4


def test_batches_mix_images(tmp_path):
    for value in range(8):
        Image.new("L", (30, 30), 20 * value).save(tmp_path / f"{value}.png")
    _, clean = next(iter(patches(tmp_path, batch_size=8)))
    assert len(np.unique(np.rint(255 * clean.numpy()))) == 8


def test_an_image_smaller_than_the_patch_is_an_error(photos):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"photo\d.png.*smaller than the patches"):
        list(patches(photos, patch_size=80))


def test_unusable_files_are_named_and_left_out(photos, tmp_path):
    good = photos / "photo0.png"
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:2000])
    Image.new("L", (24, 23)).save(tmp_path / "small.png")
    bad = dataset.list_images(tmp_path)
    with pytest.warns(UserWarning, match="Left out 4 files") as warned:
        assert dataset.usable([*bad, good], patch_size=24) == [good]
    message = str(warned[0].message)
    assert "23x24 pixels" in message
    assert all(path.name in message for path in bad)
    assert good.name not in message
    with (
        pytest.warns(UserWarning, match="4 files"),
        pytest.raises(ValueError, match="at least one image of 24x24 pixels .* 4 files"),
    ):
        dataset.usable(bad, patch_size=24)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_reads_every_kind(tmp_path, mode):
    path = tmp_path / "picture.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6, 3), "uint8")
    Image.fromarray(pixels).convert(mode).save(path)
    assert dataset.read_image(path, color="gray").shape == (5, 6, 1)
    assert dataset.read_image(path.read_bytes(), color="rgb").shape == (5, 6, 3)
    if mode == "RGB":
        np.testing.assert_array_equal(dataset.read_image(path), pixels)
        expected = np.rint(255 * luminance(pixels / 255))
        np.testing.assert_array_equal(dataset.read_image(path, color="luminance"), expected)


def test_16_bit_gray_is_scaled_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 257, 30_000, 65_535]], "uint16")).save(tmp_path / "deep.png")
    assert dataset.read_image(tmp_path / "deep.png", color="gray").ravel().tolist() == [0, 1, 117, 255]


@pytest.mark.parametrize(("kind", "value"), [("int32", 65_536), ("int32", -1), ("int16", -1)])
def test_gray_of_more_than_16_bits_or_below_zero_is_refused(tmp_path, kind, value):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 8), value, kind))
    with pytest.raises(ValueError, match=f"gray values from {value} to {value}, not of 16 bits"):
        dataset.read_image(tmp_path / "a.tif", color="gray")


def test_16_bit_gray_whose_white_is_zero_is_turned_over(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 8), 257 * 5, np.uint16), photometric="miniswhite")
    assert (dataset.read_image(tmp_path / "a.tif") == 250).all()


def test_files_of_names_in_no_encoding(photos, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    shutil.copy(photos / "photo0.png", path)
    assert dataset.list_images(tmp_path) == [path]
    patches = dataset.training_patches(
        dataset.from_files([path]),
        lambda clean, seed: clean,
        color="gray",
        patch_size=16,
        patches_per_image=2,
        batch_size=2,
        epoch=tf.Variable(0, dtype=tf.int64),
        seed=0,
    )
    assert len(list(patches)) == 1


def test_unfinished_files_are_no_images(photos, tmp_path):
    for name in ("a.png", ".part-1-deadbeef-0000.png"):
        shutil.copy(photos / "photo0.png", tmp_path / name)
    assert dataset.list_images(tmp_path) == [tmp_path / "a.png"]
    assert [source.name for source, _ in jobs([tmp_path], str(tmp_path / "out"))] == ["a.png"]


def test_floating_point_values_are_refused(tmp_path):
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="floating-point values, whose range is not known; save it with 8 or 16 bits"):
        dataset.read_image(tmp_path / "a.tif", color="gray")


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_luminance_of_a_gray_file_is_itself(tmp_path, mode):
    Image.fromarray(np.arange(256, dtype="uint8")[None]).convert(mode).save(tmp_path / "gray.png")
    assert dataset.read_image(tmp_path / "gray.png", color="luminance").ravel().tolist() == list(range(256))


def test_unknown_color(photos):
    with pytest.raises(ValueError, match="`color` must be one of .* Received: color='grey'"):
        patches(photos, color="grey")
    with pytest.raises(ValueError, match="`color` must be one of .* Received: color='grey'"):
        dataset.read_image(photos / "photo0.png", color="grey")


def test_lists_images_below_the_folder_by_name(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.PNG", "a.jpg", "sub/c.webp", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in dataset.list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.webp"]
    with pytest.raises(ValueError, match=r"`folder` must hold images \(.bmp.*Received: folder='.*missing'"):
        dataset.list_images(tmp_path / "missing")
    with pytest.raises(ValueError, match="`paths` must name at least one image"):
        dataset.from_files([])


def test_images_of_tensorflow_datasets(photos, tmp_path):
    import tensorflow_datasets as tfds

    folder = tmp_path / "source" / "train" / "cats"
    folder.mkdir(parents=True)
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())

    class Photos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3))})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for path in sorted(folder.iterdir()):
                yield path.name, {"image": path}

    Photos(data_dir=tmp_path).download_and_prepare()
    images = dataset.from_tfds("photos", data_dir=tmp_path)
    assert images.count == 6
    pairs = list(patches(photos, images=images, color="rgb"))
    assert len(pairs) == 6 * 5 // 4
    assert digest(pairs) == digest(patches(photos, images=images, color="rgb"))


@pytest.mark.parametrize(("backend", "hidden"), [("tensorflow", []), ("jax", [([], "GPU")]), ("torch", [([], "GPU")])])
def test_tensorflow_leaves_gpus_to_the_backend(backend, hidden, monkeypatch):
    received = []
    monkeypatch.setattr(dataset.keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(dataset.tf.config, "set_visible_devices", lambda *devices: received.append(devices))
    dataset.keep_tensorflow_off_gpus()
    assert received == hidden
