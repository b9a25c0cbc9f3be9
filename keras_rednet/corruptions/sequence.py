"""Several corruptions, one after the other."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Corrupts an image by several corruptions in turn: a cheap camera blurs, then adds noise, then compresses.

    Args:
        corruptions: tuple of corruptions; each has a seed of its own, drawn from that of the sequence.

    Raises:
        ValueError: it is no tuple of corruptions, or an empty one.
    """

    corruptions: tuple

    def __post_init__(self):
        parts = self.corruptions
        if not (isinstance(parts, tuple) and parts and all(callable(part) for part in parts)):
            raise ValueError(f"`corruptions` must be a tuple of corruptions. Received: corruptions={parts!r}.")

    def __call__(self, clean, seed):
        corrupted = clean
        seeds = tf.unstack(tf.random.split(seed, len(self.corruptions)))
        for corruption, part_seed in zip(self.corruptions, seeds, strict=True):
            corrupted = corruption(corrupted, part_seed)
        return corrupted
