"""In which precision Keras computes: "float32", or "bfloat16", of which some processors do twice as much."""

import contextlib
from pathlib import Path

import keras

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # of Keras; weights and images stay float32
FAST_BFLOAT16 = {"avx512f", "avx_ne_convert", "bf16"}  # in /proc/cpuinfo; oneDNN has no fast one without any of these


@contextlib.contextmanager
def computing_in(policy):
    """Has the networks that are built meanwhile compute by a dtype policy of Keras."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def emulates_bfloat16(processor="/proc/cpuinfo"):
    """Tells whether Keras would compute bfloat16 on a CPU that is slow at it; False where it tells nothing."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # the backend, so it is there

    if tf.config.list_physical_devices("GPU"):
        return False
    flags = Path(processor).read_text().split() if Path(processor).exists() else []
    return bool(flags) and not FAST_BFLOAT16 & set(flags)
