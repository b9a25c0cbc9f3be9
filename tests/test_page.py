"""The web page, in a headless Chromium, gives the package's pixels and asks nobody else for anything."""

import contextlib
import functools
import http.server
import re
import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from test_export import network

from export import page
from keras_rednet import export_tflite, restore, upscale

api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None or shutil.which("npm") is None:
    pytest.skip("Chromium or npm is missing", allow_module_level=True)

SIZE = (88, 96)
MODELS = {
    "gray": network(filters=4, downsample_at=(1,)),
    "rgb": network(filters=4, channels=3, downsample_at=(1,)),
    "luminance": network(filters=4),
}
COLORS = {name: "rgb" for name in page.NETWORKS if name.endswith("-color")} | {"denoise-jpeg-gray": "gray"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serves the page and returns its address."""
    folder = tmp_path_factory.mktemp("dist")
    for name in page.NETWORKS:
        color = COLORS.get(name, "luminance")
        about = {"task": name.split("-")[0].replace("super", "super_resolution"), "color": color}
        path = folder / f"red30-fast-{name}-v1-float16.tflite"
        export_tflite(MODELS[color], path, size=SIZE, quantize="float16", metadata=about)
    any_size = folder / "red30-fast-denoise-jpeg-gray-v1-float32.tflite"
    export_tflite(MODELS["gray"], any_size, metadata={"task": "denoise", "color": "gray"})
    assert len(page.build(folder, folder / "web")) == len(page.NETWORKS)
    assert (folder / "web" / "LICENSE.txt").read_text().startswith("MIT License")
    notices = (folder / "web" / "third_party.txt").read_text()  # of LiteRT.js and what is in its WebAssembly
    for name in ("LiteRT.js", "XNNPACK", "pthreadpool and cpuinfo", "Protocol Buffers", "Emscripten and musl"):
        assert f"\n{name}\n\n" in notices
    handler = functools.partial(Quiet, directory=folder / "web")
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, site):
    """The page, loaded; no error may be shown in its console, and no request may leave for elsewhere."""
    opened = browser.new_page()
    errors, requests = [], []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(site)
    api.expect(opened.locator("option[value=int8]")).to_be_disabled()  # models.json has been read
    yield opened
    opened.close()
    assert errors == []
    assert {url.split("/")[2] for url in requests if not url.startswith(("blob:", "data:"))} == {site.split("/")[2]}


def restored(tab, photo):
    """Gives the page a photo and returns what it shows: the restored pixels, uint8 [h, w, 4], and its words."""
    tab.set_input_files("#file", photo)
    api.expect(tab.locator("#message")).to_contain_text(re.compile("right of it restored|Not restored"), timeout=60_000)
    assert tab.is_visible("#save"), tab.text_content("#message")
    pixels = tab.evaluate(
        """() => {
            const canvas = document.getElementById("after");
            const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [width, height, [...data]];
        }"""
    )
    return np.array(pixels[2], np.uint8).reshape(pixels[1], pixels[0], 4)


def photograph(path, shape):
    pixels = np.random.default_rng(0).integers(90, 160, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def assert_same(received, expected, before):
    difference = np.abs(received.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01
    assert np.abs(expected.astype(int) - before).max() > 3


@pytest.mark.parametrize("size", [(123, 150), (60, 201)])
def test_denoises_colour_in_tiles(tab, tmp_path, size):
    photo = photograph(tmp_path / "photo.png", (*size, 3))
    received = restored(tab, tmp_path / "photo.png")
    assert received.shape == (*size, 4)
    inner = np.s_[: size[0] - 24, :]  # a picture smaller than the file is reflected, which its border sees
    assert_same(received[..., :3][inner], restore(MODELS["rgb"], photo)[inner], photo[inner])
    assert (received[..., 3] == 255).all()


@pytest.mark.parametrize("apart", [0, 1])
def test_denoises_gray(tab, tmp_path, apart):
    photo = photograph(tmp_path / "photo.png", (100, 97))
    stored = np.repeat(photo[..., None], 3, axis=2)
    stored[::3, :, 1] += np.uint8(apart) * (stored[::3, :, 1] < 255)  # as lossy WebP does
    Image.fromarray(stored).save(tmp_path / "photo.png")
    received = restored(tab, tmp_path / "photo.png")
    assert_same(received[..., 0], restore(MODELS["gray"], photo), photo)
    assert (received[..., :1] == received[..., :3]).all()


def test_denoises_gray_that_is_faint_as_gray(tab, tmp_path):
    """A canvas multiplies by alpha and rounds: what was 1 apart is more so afterwards."""
    stored = np.repeat(photograph(tmp_path / "photo.png", (100, 97))[..., None], 4, axis=2)
    stored[::3, :, 1] += stored[::3, :, 1] < 255
    stored[..., 3] = np.linspace(0, 255, 97)
    Image.fromarray(stored).save(tmp_path / "photo.png")
    received = restored(tab, tmp_path / "photo.png")
    assert (received[..., :1] == received[..., :3]).all()
    assert (received[..., 3] == stored[..., 3]).all()


def test_deblocks_colour_by_the_network_for_colour(tab, tmp_path):
    photo = photograph(tmp_path / "photo.png", (123, 150, 3))
    tab.select_option("#task", "deblock")
    received = restored(tab, tmp_path / "photo.png")
    assert_same(received[..., :3], restore(MODELS["rgb"], photo), photo)


def test_deblocks_colour_plane_by_plane_where_there_is_none(tab, site, tmp_path):
    models = [model for model in tab.request.get(f"{site}models/models.json").json() if model["color"] != "rgb"]
    tab.route("**/models.json", lambda route: route.fulfill(json=models))
    photo = photograph(tmp_path / "photo.png", (123, 150, 3))
    tab.select_option("#task", "deblock")
    received = restored(tab, tmp_path / "photo.png")
    assert_same(received[..., :3], restore(MODELS["luminance"], photo, color="ycbcr"), photo)


def test_of_gray_pictures_it_takes_the_gray_for_luminance(tab, tmp_path):
    photo = photograph(tmp_path / "photo.png", (100, 97))
    tab.select_option("#task", "deblock")
    received = restored(tab, tmp_path / "photo.png")
    assert_same(received[..., 0], restore(MODELS["luminance"], photo, color="ycbcr"), photo)
    assert (received[..., :1] == received[..., :3]).all()
    tab.select_option("#task", "super_resolution")
    received = restored(tab, tmp_path / "photo.png")
    assert_same(received[..., 0], upscale(MODELS["luminance"], photo, (200, 194)), photo.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("scale", [2, 3])
def test_enlarges(tab, tmp_path, scale):
    photo = photograph(tmp_path / "photo.png", (61, 75, 3))
    tab.select_option("#task", "super_resolution")
    tab.select_option("#scale", str(scale))
    received = restored(tab, tmp_path / "photo.png")
    size = (scale * 61, scale * 75)
    assert_same(received[..., :3], upscale(MODELS["luminance"], photo, size), photo.repeat(scale, 0).repeat(scale, 1))


def test_enlarges_jpegs_by_the_network_for_them(tab, tmp_path):
    photograph(tmp_path / "photo.png", (61, 75))
    tab.select_option("#task", "super_resolution")
    for quality, color in ((90, "rgb"), (91, "luminance")):
        file = tmp_path / f"{quality}.jpg"
        Image.open(tmp_path / "photo.png").save(file, quality=quality, exif=b"Exif\0\0" + bytes(60_000))
        photo = np.asarray(Image.open(file))
        received = restored(tab, file)
        assert_same(received[..., 0], upscale(MODELS[color], photo, scale=2), photo.repeat(2, 0).repeat(2, 1))
        assert (received[..., :1] == received[..., :3]).all()


@pytest.mark.parametrize("kind", ["hidden", "faint"])
def test_enlarges_what_is_transparent_without_a_rim(tab, tmp_path, kind):
    pixels = np.random.default_rng(0).integers(90, 160, (61, 75, 4), np.uint8)
    pixels[..., 3] = 255
    if kind == "faint":
        pixels[..., :3] = 20
        pixels[:, 30] = 255, 255, 255, 28  # bicubic lobes of both nearly cancel
        pixels[:, 31:] = 0
    pixels[20:40, 30:60] = 0  # what a canvas makes of hidden colours
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    tab.select_option("#task", "super_resolution")
    received = restored(tab, tmp_path / "photo.png").astype(float)
    expected = upscale(MODELS["luminance"], pixels, (122, 150)).astype(float)
    np.testing.assert_allclose(received[..., 3], expected[..., 3], atol=1)
    shown = [image[..., :3] * image[..., 3:] / 255 for image in (received, expected)]  # a canvas keeps no more
    np.testing.assert_allclose(*shown, atol=3)


def test_of_two_pictures_the_later_one_is_restored_even_if_it_is_read_first(tab, tmp_path):
    for name, size in (("large.png", (150, 123)), ("small.png", (97, 100))):
        Image.new("L", size, 128).save(tmp_path / name)
    tab.evaluate(
        """() => {
            const read = createImageBitmap;
            self.createImageBitmap = async (file, options) => {
                if (file.name === "large.png") await new Promise((resolve) => setTimeout(resolve, 2000));
                return read(file, options);
            };
        }"""
    )
    tab.set_input_files("#file", tmp_path / "large.png")
    assert restored(tab, tmp_path / "small.png").shape == (100, 97, 4)
    tab.wait_for_timeout(2500)
    api.expect(tab.locator("#message")).to_contain_text("small.png: 97 x 100 pixels", timeout=60_000)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("OffscreenCanvasRenderingContext2D.prototype.getImageData", "or is too large for it."),
        ("CanvasRenderingContext2D.prototype.putImageData", "Not restored: 97 x 100 pixels are more than this browser"),
    ],
)
def test_a_canvas_that_is_too_large_for_the_browser_is_told(tab, tmp_path, function, words):
    tab.evaluate(f"() => {{ {function} = () => {{ throw new DOMException('too large', 'InvalidStateError'); }}; }}")
    tab.set_input_files("#file", _photo(tmp_path))
    api.expect(tab.locator("#message")).to_contain_text(words, timeout=60_000)
    assert not tab.is_visible("#progress")


def test_a_file_that_is_no_picture(tab, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    tab.set_input_files("#file", tmp_path / "broken.png")
    api.expect(tab.locator("#message")).to_contain_text("broken.png is no picture that this browser can read")
    assert restored(tab, _photo(tmp_path)).shape == (100, 97, 4)  # the next one works


def test_a_file_that_is_no_picture_while_another_is_restored(tab, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with _slow_network(tab):
        tab.set_input_files("#file", _photo(tmp_path))
        api.expect(tab.locator("#message")).to_contain_text("Restoring photo.png")
        tab.set_input_files("#file", tmp_path / "broken.png")
        api.expect(tab.locator("#message")).to_contain_text("broken.png is no picture that this browser can read")
    tab.wait_for_timeout(1000)
    api.expect(tab.locator("#message")).to_contain_text("broken.png is no picture that this browser can read")
    assert not tab.is_visible("#progress")


def test_stops_and_takes_the_same_file_again(tab, tmp_path):
    with _slow_network(tab):
        tab.set_input_files("#file", _photo(tmp_path))
        tab.click("#stop")
        api.expect(tab.locator("#message")).to_have_text("Stopped.")
        assert not tab.is_visible("#progress")
    with tab.expect_file_chooser():
        tab.click("#file")
    assert tab.input_value("#file") == ""  # with the file in it, browsers tell nothing of its being chosen again
    assert restored(tab, tmp_path / "photo.png").shape == (100, 97, 4)


@contextlib.contextmanager
def _slow_network(tab):
    """Holds back the answers to requests for networks."""
    held = []
    tab.route("**/*.tflite", lambda route: held.append(route))
    yield
    tab.unroute("**/*.tflite")
    for route in held:
        with contextlib.suppress(api.Error):  # its worker has ended
            route.continue_()


def test_a_photo_that_a_worker_cannot_be_sent(tab, tmp_path):
    tab.evaluate("() => { Worker.prototype.postMessage = () => { throw new DOMException('', 'DataCloneError'); }; }")
    tab.set_input_files("#file", _photo(tmp_path))
    api.expect(tab.locator("#message")).to_have_text("Not restored: the browser is out of memory.")
    assert not tab.is_visible("#progress")


def test_says_that_it_must_be_served(browser, tmp_path):
    opened = browser.new_page()
    opened.goto((page.PAGE / "index.html").as_uri())
    api.expect(opened.locator("#message")).to_contain_text("models.json, could not be read. Is the page served")
    opened.set_input_files("#file", _photo(tmp_path))
    api.expect(opened.locator("#message")).to_contain_text("The worker could not be started. Is the page served")
    opened.close()


def test_a_picture_that_is_too_large_does_not_leave_the_last_one_under_its_name(tab, tmp_path):
    tab.select_option("#task", "super_resolution")
    tab.select_option("#scale", "4")
    restored(tab, _photo(tmp_path))
    Image.new("L", (4100, 4100)).save(tmp_path / "large.png")
    tab.set_input_files("#file", tmp_path / "large.png")
    api.expect(tab.locator("#message")).to_have_text("16400 x 16400 pixels are more than a browser has memory for.")
    assert not tab.is_visible("#pictures")
    assert not tab.is_visible("#save")


def test_a_network_that_cannot_be_loaded(tab, tmp_path):
    tab.route("**/*.tflite", lambda route: route.fulfill(status=404))
    tab.set_input_files("#file", _photo(tmp_path))
    words = re.compile(r"Not restored: models/.*-gray-.*\.tflite could not be read: 404")
    api.expect(tab.locator("#message")).to_contain_text(words, timeout=60_000)


def test_colour_is_not_denoised_by_the_network_for_gray(tab, tmp_path):
    models = [{"task": "denoise", "color": "gray", "precision": "float16"}]
    tab.route("**/models.json", lambda route: route.fulfill(json=models))
    photograph(tmp_path / "photo.png", (60, 60, 3))
    tab.set_input_files("#file", tmp_path / "photo.png")
    words = "Not restored: for such photos there is no network of this quality here. Choose the other quality."
    api.expect(tab.locator("#message")).to_have_text(words)


def test_networks_take_turns(tab, tmp_path):
    first = restored(tab, _photo(tmp_path))
    tab.select_option("#task", "deblock")
    assert not np.array_equal(restored(tab, _photo(tmp_path)), first)
    tab.select_option("#task", "denoise")
    np.testing.assert_array_equal(restored(tab, _photo(tmp_path)), first)


def test_a_picture_that_the_browser_cannot_save_is_told(tab, tmp_path):
    restored(tab, _photo(tmp_path))
    tab.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (answer) => answer(null); }")
    tab.click("#save")
    api.expect(tab.locator("#message")).to_have_text("The picture is too large for this browser to save.")


def test_the_slider_and_the_file(tab, tmp_path):
    received = restored(tab, _photo(tmp_path))
    tab.fill("#slider", "20")
    assert "20%" in tab.evaluate("getComputedStyle(document.getElementById('after')).clipPath")
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "photo-restored.png"
    with Image.open(download.value.path()) as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGBA")), received)


def test_a_saved_picture_keeps_its_name_when_another_is_taken_meanwhile(tab, tmp_path):
    restored(tab, _photo(tmp_path))
    tab.evaluate(
        """() => {
            const encode = HTMLCanvasElement.prototype.toBlob;
            HTMLCanvasElement.prototype.toBlob = function (...options) {
                setTimeout(() => encode.apply(this, options), 1000);
            };
        }"""
    )
    photograph(tmp_path / "other.png", (60, 60))
    with tab.expect_download() as download:
        tab.click("#save")
        tab.set_input_files("#file", tmp_path / "other.png")
    assert download.value.suggested_filename == "photo-restored.png"


def _photo(folder):
    photograph(folder / "photo.png", (100, 97))
    return folder / "photo.png"
