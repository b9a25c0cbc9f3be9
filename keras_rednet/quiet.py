"""Silence where libraries talk at length."""

import contextlib
import os
import sys


@contextlib.contextmanager
def steady_stderr():
    """Gives a text file that is standard error, even while another thread is in `quiet_libraries`."""
    try:
        own = _text(2) if sys.stderr is sys.__stderr__ else None
    except OSError:  # closed
        own = None
    try:
        yield own or sys.stderr
    finally:
        if own:
            own.close()


def _text(descriptor):
    """Returns a text file of its own for what a file descriptor writes to; names in no encoding pass, escaped."""
    return os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")


@contextlib.contextmanager
def quiet_libraries():
    """Keeps what TensorFlow's and LiteRT's C++ tell of their start, which no log level silences, off the terminal.

    What Python writes to `sys.stderr` still gets there; of other threads, what they write to `steady_stderr`.
    """
    try:
        terminal, python_side = os.dup(2), sys.stderr
    except OSError:  # closed, as some services start their programs
        yield
        return
    try:
        if python_side is sys.__stderr__:
            sys.stderr = _text(terminal)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr = python_side
