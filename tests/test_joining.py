"""What recipes/distribute.py does before processes meet; how they train together is tested in tests/slow."""

import socket

import pytest

from recipes import distribute


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")])
def test_a_port_of_another_training_is_refused(family, host):
    """JAX's coordinator shares its port with any that asks for that."""
    with socket.socket(family) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            other.bind((host, 0))
        except OSError:
            pytest.skip(f"no network has {host}")
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"On port {port} another program listens"):
            distribute._refuse_taken(port)
    distribute._refuse_taken(port)


def test_a_coordinator_without_a_port_is_refused(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"must be HOST:PORT, those of process 0. Received: localhost."):
        distribute.joined("localhost", 2, 0).__enter__()


def test_the_numbers_of_processes_and_their_backend(monkeypatch):
    with pytest.raises(ValueError, match="on the JAX backend only: set KERAS_BACKEND=jax. Received: KERAS_BACKEND="):
        distribute.joined("localhost:1", 2, 0).__enter__()
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match="must be 0 to 1, .* Received: process 2 of 2"):
        distribute.joined("localhost:1", 2, 2).__enter__()
