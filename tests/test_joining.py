"""What recipes/distribute.py does before processes meet; how they train together is tested in tests/slow."""

import socket

import pytest

from recipes import distribute


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")])
def test_a_port_of_another_training_is_refused(family, host):
    """JAX's coordinator shares its port with any that asks for that."""
    with socket.socket(family) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"On port {port} another program listens"):
            distribute._refuse_taken(port)
    distribute._refuse_taken(port)


def test_a_coordinator_without_a_port_is_refused(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"must be HOST:PORT, those of process 0. Received: localhost."):
        distribute.joined("localhost", 2, 0).__enter__()
