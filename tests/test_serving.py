"""The client of export/serving against a stand-in for TF Serving, which speaks both its protocols."""

import base64
import contextlib
import http.server
import io
import json
import socket
import struct
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from serving_messages import messages, tensor
from test_model import with_random_weights

from export.serving import client
from keras_rednet import REDNet, export_saved_model, restore

CLIENT = Path(client.__file__)


@pytest.fixture(scope="module")
def model():
    return with_random_weights(REDNet(10, filters=4, channels=3))


@pytest.fixture(scope="module")
def predict(model, tmp_path_factory):
    """Runs the signature that a request names, as a server would."""
    directory = tmp_path_factory.mktemp("models") / "1"
    export_saved_model(model, directory)
    signatures = tf.saved_model.load(str(directory)).signatures
    return lambda name, inputs: signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})


@pytest.fixture(scope="module")
def rest(predict):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/denoise:predict"
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            files = [base64.b64decode(file["b64"]) for file in request["inputs"]["image_bytes"]]
            try:
                (output,) = predict(request["signature_name"], {"image_bytes": files}).values()
                answer = {"outputs": [{"b64": base64.b64encode(file).decode()} for file in output.numpy()]}
                self.send_response(200)
            except tf.errors.InvalidArgumentError as error:
                answer = {"error": error.message}
                self.send_response(400)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"localhost:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def grpc_server(predict):
    grpc = pytest.importorskip("grpc")
    kinds = messages()

    def answer(content, context):
        request = kinds["PredictRequest"].FromString(content)
        assert request.model_spec.name == "denoise"
        inputs = {entry.key: tf.make_ndarray(tensor(entry.value)) for entry in request.inputs}
        try:
            outputs = predict(request.model_spec.signature_name, inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = kinds["PredictResponse"](model_spec=request.model_spec)
        response.outputs.add(key="another", value=tf.make_tensor_proto(1.5).SerializeToString())
        for key, value in outputs.items():
            response.outputs.add(key=key, value=tf.make_tensor_proto(value).SerializeToString())
        return response.SerializeToString()

    server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
    service = grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService", {"Predict": grpc.unary_unary_rpc_method_handler(answer)}
    )
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


@pytest.fixture(params=["rest", "grpc"])
def ask(request):
    """Restores encoded pictures by a protocol."""
    server = request.getfixturevalue("rest" if request.param == "rest" else "grpc_server")
    function = {"rest": client.restore_by_rest, "grpc": client.restore_by_grpc}[request.param]
    return lambda files, **options: function(files, server=server, **options)


def encoded(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_restores_pictures_of_several_sizes(ask, model):
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(random.integers(0, 256, shape, np.uint8)) for shape in ((20, 31, 3), (200, 150, 3))]
    restored = ask([encoded(picture) for picture in pictures])
    for picture, file in zip(pictures, restored, strict=True):
        expected = np.asarray(restore(model, picture)).astype(int)
        assert np.abs(expected - np.asarray(picture)).mean() > 3
        assert np.abs(np.asarray(Image.open(io.BytesIO(file))) - expected).max() <= 1  # float32 rounds another way


def test_bytes_that_are_no_picture_are_refused_and_the_next_are_not(ask):
    with pytest.raises(ValueError, match="must be PNG or JPEG files"):
        ask([b"no picture"])
    assert len(ask([encoded(Image.new("RGB", (5, 4)))])) == 1


def test_no_server():
    for function in (client.restore_by_rest, client.restore_by_grpc):
        with pytest.raises(OSError, match="localhost:9|refused"):
            function([b""], server="localhost:9", timeout=5)


@pytest.mark.parametrize(("status", "error"), [(400, ValueError), (413, ValueError), (404, OSError), (503, OSError)])
def test_a_busy_server_refuses_no_picture(status, error):
    class Busy(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(status)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("localhost", 0), Busy) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(error, match=rf"refused the request \({status}\)"):
            client.restore_by_rest([b"picture"], server=f"localhost:{server.server_port}", timeout=10)


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"predictions": []}', b'{"outputs": "x"}', b'{"outputs": [1]}'])
def test_an_answer_of_something_else(answer):
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n" + answer) as server, pytest.raises(ValueError, match="has no output"):
        client.restore_by_rest([b""], server=server, timeout=5)


def test_an_answer_that_is_no_picture(photos, tmp_path):
    answer = b'HTTP/1.1 200 OK\r\n\r\n{"outputs": [{"b64": "aGVsbG8="}]}'
    with _answering(answer) as server, pytest.raises(SystemExit, match="has no output 'restored_bytes'"):
        client.main([str(photos / "photo0.png"), str(tmp_path / "out.png"), "--server", server])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.jpg"], "out.jpg: the restored picture is a PNG file: end its name in .png"),
        (
            ["out.png", "--server", "http://localhost:8501"],
            "must be HOST:PORT, without a scheme. Received: http",
        ),
    ],
)
def test_what_the_program_refuses(arguments, message, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        client.main([str(photos / "photo0.png"), *arguments])
    assert not list(tmp_path.iterdir())


def test_the_restored_file_is_there_whole_or_not_at_all(tmp_path):
    (tmp_path / "out.png.part").write_bytes(b"mine")
    (tmp_path / "out.png").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), client._written_whole(tmp_path / "out.png") as file:
        file.write(b"%d" % (1 // 0))
    assert (tmp_path / "out.png").read_bytes() == b"before"
    with client._written_whole(tmp_path / "out.png") as file:
        file.write(b"restored")
    assert (tmp_path / "out.png").read_bytes() == b"restored"
    assert (tmp_path / "out.png.part").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(FileNotFoundError), client._written_whole(tmp_path / "no folder" / "out.png"):
        pytest.fail("asks the server for what cannot be written")


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
@pytest.mark.parametrize(
    ("linger", "how"), [((0, 0), "IncompleteRead"), ((1, 0), "ConnectionResetError")], ids=["closed", "reset"]
)
def test_an_answer_that_breaks_off(status, linger, how):
    answer = f'HTTP/1.1 {status}\r\nContent-Length: 99\r\n\r\n{{"outputs"'.encode()
    words = f"localhost.* broke off its answer: {how}"
    with _answering(answer, linger) as server, pytest.raises(OSError, match=words):
        client.restore_by_rest([b""], server=server, timeout=5)


@contextlib.contextmanager
def _answering(answer, linger=(0, 0)):
    """Gives the HOST:PORT of a server that answers one request, so, and closes."""

    def serve():
        connection, _ = server.accept()
        request = b""
        while not request.endswith(b"}]}}"):  # what is left unread would reset the connection
            request += connection.recv(65536)
        connection.sendall(answer)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
        connection.close()

    with socket.create_server(("localhost", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"localhost:{server.getsockname()[1]}"


def test_the_program_waits_as_long_as_it_is_told(rest, photos, tmp_path):
    silent = socket.create_server(("localhost", 0))
    command = [sys.executable, str(CLIENT), "--server", f"localhost:{silent.getsockname()[1]}", "--timeout", "0.5"]
    for protocol in ([], ["--grpc"]):
        files = [str(photos / "photo0.png"), str(tmp_path / "no.png")]
        done = subprocess.run([*command, *protocol, *files], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    silent.close()


def test_grpc_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match="pip install grpcio"):
        client.restore_by_grpc([b""])


def test_the_program(rest, model, photos, tmp_path):
    command = [sys.executable, str(CLIENT), "--server", rest]
    photo, restored = str(photos / "photo0.png"), tmp_path / "restored.png"
    done = subprocess.run([*command, photo, str(restored)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(photo) as picture:
        expected = np.asarray(restore(model, picture)).astype(int)
    assert np.abs(np.asarray(Image.open(restored)) - expected).max() <= 1
    done = subprocess.run([*command, str(CLIENT), str(tmp_path / "no.png")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "refused the request (400)" in done.stderr
    assert not (tmp_path / "no.png").exists()
    own = tmp_path / "own.png"
    own.write_bytes((photos / "photo0.png").read_bytes())
    done = subprocess.run([*command, str(own), str(own)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "own.png is the picture to restore: give the restored one another name" in done.stderr
    assert own.read_bytes() == (photos / "photo0.png").read_bytes()


def test_the_answer_of_another_model_is_refused():
    with pytest.raises(ValueError, match="has no output 'restored_bytes': is the model one of keras_rednet?"):
        client._outputs(b"")
