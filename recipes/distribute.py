"""Training on several devices and machines: every batch is split between them, and their gradients are averaged.

On one machine nothing need be said: all GPUs take part, by JAX or by TensorFlow. On several machines one process runs
on each, on the JAX backend, and `joined` makes them one training. (Keras' fit fails under TensorFlow's strategy for
several machines, keras-team/keras issue 20585.)
"""

import contextlib
import errno
import os
import socket
import sys
import traceback

import keras
import numpy as np
import tensorflow as tf

JOINING_SECONDS = 300


@contextlib.contextmanager
def joined(coordinator, processes, process):
    """A context in which this process is one of several that train together; waits for the others.

    An error in it, an interrupt too, is printed and ends the process at once, with status 1: JAX's own way out would
    wait minutes for the others, and they for this one. They end by themselves, as their connection breaks.

    Args:
        coordinator: "HOST:PORT" of process 0, the same for all.
        processes: how many there are.
        process: the number of this one, from 0.

    Raises:
        ValueError: numbers that make no sense, another backend than JAX, or a port on which another program listens.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Several processes train together on the JAX backend only: set KERAS_BACKEND=jax. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}."
        )
    if not 0 <= process < processes:
        raise ValueError(
            f"The number of a process must be 0 to {processes - 1}, one less than there are processes. "
            f"Received: process {process} of {processes}."
        )
    import jax

    port = coordinator.rpartition(":")[2]
    if not port.isdecimal():
        raise ValueError(f"The coordinator must be HOST:PORT, those of process 0. Received: {coordinator}.")
    if process == 0:
        _refuse_taken(int(port))
    jax.distributed.initialize(coordinator, processes, process, initialization_timeout=JOINING_SECONDS)
    try:
        from_first([np.int32(0)])  # devices meet here: later JAX waits two minutes, and some may read files longer
        yield
    except BaseException:
        traceback.print_exc()
        print(
            f"Process {process} of {processes} ends, and with it the others. If a connection was lost, another process "
            "or its machine was: start all of them again with the same arguments, they go on from the last finished "
            "epoch.",
            file=sys.stderr,
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _refuse_taken(port):
    """Raises ValueError where a port is taken: JAX would share it with another training, and mix their processes."""
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a training that has ended just now
                tried.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ValueError(
                    f"On port {port} another program listens, another training perhaps: end it, or choose another "
                    f"port for the coordinator. Received: port {port}."
                ) from None


def shard():
    """Returns (number of this process, how many there are)."""
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def replicas():
    """Returns how many devices train, over all processes."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.device_count()
    return len(_tensorflow_devices())


def scope():
    """Returns a context in which a network is made and trained on all devices."""
    if replicas() == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        return keras.distribution.DataParallel(auto_shard_dataset=False).scope()
    return tf.distribute.MirroredStrategy(_tensorflow_devices()).scope()


@contextlib.contextmanager
def alone():
    """A context in which a network that was made outside `scope` runs in this process only."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def from_first(arrays):
    """Returns what process 0 gives; every process must call it, with arrays of the same shapes."""
    if shard()[1] == 1:
        return arrays
    from jax.experimental import multihost_utils

    return [np.asarray(array) for array in multihost_utils.broadcast_one_to_all(arrays)]


def adam(rate, clipnorm, **options):
    """Returns Keras' Adam, whose gradients are clipped by their global norm over all devices.

    Under TensorFlow's strategy Keras clips each device's part of the gradient before it adds them, which is another
    step than that of a single device.
    """
    if keras.backend.backend() != "tensorflow" or (count := replicas()) == 1:
        return keras.optimizers.Adam(rate, global_clipnorm=clipnorm, **options)

    class MirroredAdam(keras.optimizers.Adam):
        def apply(self, grads, trainable_variables=None):
            context = tf.distribute.get_replica_context()
            grads = context.all_reduce(tf.distribute.ReduceOp.MEAN, grads)  # Keras adds them, its losses are parts
            super().apply(grads, trainable_variables)

    return MirroredAdam(rate, global_clipnorm=clipnorm and clipnorm / count, **options)


def _tensorflow_devices():
    if keras.backend.backend() != "tensorflow":
        return ["CPU:0"]
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]
