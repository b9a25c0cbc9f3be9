# SPDX-License-Identifier: MIT
"""Restores a picture by a TF Serving server: `python client.py photo.jpg restored.png`.

Over REST it needs nothing but Python; with `--grpc` also grpcio, but neither TensorFlow nor its serving package. Copy
it into a project of your own. Pictures come back as they are stored: turn those with an EXIF orientation upright first,
and convert those with a colour profile to sRGB, since neither is kept.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

SIGNATURE, INPUT, OUTPUT = "restore_image_bytes", "image_bytes", "restored_bytes"
PNG = b"\x89PNG\r\n\x1a\n"
NO_OUTPUT = f"The server's answer has no output {OUTPUT!r}: is the model one of keras_rednet?"
TIMEOUT = 600  # seconds; 24 megapixels take 70 on two cores


def restore_by_rest(files, server="localhost:8501", model="denoise", timeout=TIMEOUT):
    """Restores encoded pictures, a list of bytes, and returns PNG files, a list of bytes.

    Raises:
        ValueError: the server refused them; its words.
        OSError: no answer, or one that says nothing of the pictures, such as that the server is busy: try again.
    """
    body = {"signature_name": SIGNATURE, "inputs": {INPUT: [{"b64": base64.b64encode(f).decode()} for f in files]}}
    url = f"http://{server}/v1/models/{urllib.parse.quote(model)}:predict"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            words = f"{server} refused the request ({error.code}): {error.read().decode(errors='replace')}"
            raise (ValueError if error.code in (400, 413) else OSError)(words) from error
    except (http.client.HTTPException, ConnectionError) as error:
        raise OSError(f"{server} broke off its answer: {error!r}") from error
    try:
        return [base64.b64decode(output["b64"]) for output in json.loads(answer)["outputs"]]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(NO_OUTPUT) from error


def restore_by_grpc(files, server="localhost:8500", model="denoise", timeout=TIMEOUT):
    """Does the same by gRPC: smaller messages, for programs that restore many pictures."""
    try:
        import grpc
    except ImportError:
        raise ImportError("gRPC needs grpcio: pip install grpcio") from None

    with grpc.insecure_channel(server, options=[("grpc.max_receive_message_length", -1)]) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        try:
            return _outputs(predict(_request(files, model), timeout=timeout))
        except grpc.RpcError as error:
            refused = error.code() == grpc.StatusCode.INVALID_ARGUMENT
            raise (ValueError if refused else OSError)(f"{server}: {error.code().name}: {error.details()}") from error


def _request(files, model):
    """Encodes a tensorflow.serving.PredictRequest; field numbers are those of its .proto files."""
    spec = _field(1, model.encode()) + _field(3, SIGNATURE.encode())
    shape = _field(2, b"\x08" + _number(len(files)))  # TensorShapeProto.dim.size
    strings = b"".join(_field(8, file) for file in files)
    tensor = b"\x08\x07" + _field(2, shape) + strings  # TensorProto of DT_STRING
    return _field(1, spec) + _field(2, _field(1, INPUT.encode()) + _field(2, tensor))


def _outputs(response):
    """Decodes the strings of the output from a tensorflow.serving.PredictResponse."""
    for number, entry in _fields(response):
        if number == 1:
            output = dict(_fields(entry))
            if output[1] == OUTPUT.encode():
                return [content for part, content in _fields(output[2]) if part == 8]
    raise ValueError(NO_OUTPUT)


def _field(number, content):
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value):
    encoded = bytearray()
    while value > 127:
        encoded.append(value % 128 + 128)
        value >>= 7
    return bytes([*encoded, value])


def _fields(message):
    """Yields (number, content) of a message's fields: bytes, or an integer where it is one."""
    position = 0

    def number():
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(message):
        tag = number()
        content, size = (number(), 0) if tag & 7 == 0 else (None, {1: 8, 5: 4}.get(tag & 7) or number())
        if content is None:
            content = message[position : position + size]
            position += size
        yield tag >> 3, content


@contextlib.contextmanager
def _written_whole(path):
    """Gives a new file beside `path`, which replaces it if all goes well and vanishes if not."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("xb") as file:
        try:
            yield file
            file.close()
            part.replace(path)
        except BaseException:
            file.close()  # or some systems would not let it go
            part.unlink()
            raise


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("restored", type=Path, help="a PNG file")
    parser.add_argument("--server", metavar="HOST:PORT", help="localhost:8501, or with --grpc localhost:8500")
    parser.add_argument("--grpc", action="store_true")
    parser.add_argument("--model", default="denoise", metavar="NAME", help="of models.config")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS")
    options = parser.parse_args(arguments)
    restore = restore_by_grpc if options.grpc else restore_by_rest
    server = {"server": options.server} if options.server else {}
    try:
        if "/" in (options.server or ""):
            raise ValueError(f"--server must be HOST:PORT, without a scheme. Received: {options.server}")
        if options.restored.suffix.lower() != ".png":
            raise ValueError(f"{options.restored}: the restored picture is a PNG file: end its name in .png")
        if options.restored.exists() and options.restored.samefile(options.photo):
            raise ValueError(f"{options.restored} is the picture to restore: give the restored one another name.")
        photo = options.photo.read_bytes()
        with _written_whole(options.restored) as file:  # before the work, not after it
            (restored,) = restore([photo], model=options.model, timeout=options.timeout, **server)
            if not restored.startswith(PNG):
                raise ValueError(NO_OUTPUT)
            file.write(restored)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"client.py: {error}")


if __name__ == "__main__":
    main()
