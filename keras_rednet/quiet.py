"""Silence where libraries talk at length."""

import contextlib
import os
import sys


@contextlib.contextmanager
def quiet_libraries():
    """Keeps what TensorFlow's and LiteRT's C++ tell of their start, which no log level silences, off the terminal.

    What Python writes to `sys.stderr` still gets there.
    """
    try:
        terminal, python_side = os.dup(2), sys.stderr
    except OSError:  # closed, as some services start their programs
        yield
        return
    try:
        if python_side is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr = python_side
