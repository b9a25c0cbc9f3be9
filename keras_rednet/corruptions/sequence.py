"""Several corruptions, one after the other, or one of them, by chance."""

import dataclasses
import functools

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
        _check(self.corruptions)

    def __call__(self, clean, seed):
        corrupted = clean
        seeds = tf.unstack(tf.random.split(seed, len(self.corruptions)))
        for corruption, part_seed in zip(self.corruptions, seeds, strict=True):
            corrupted = corruption(corrupted, part_seed)
        return corrupted


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Corrupts an image by one of several corruptions, drawn with equal chance.

    Args:
        corruptions: tuple of corruptions.

    Raises:
        ValueError: it is no tuple of corruptions, or an empty one.
    """

    corruptions: tuple

    def __post_init__(self):
        _check(self.corruptions)

    def __call__(self, clean, seed):
        choice_seed, corruption_seed = tf.unstack(tf.random.split(seed))
        index = tf.random.stateless_uniform([], choice_seed, 0, len(self.corruptions), tf.int32)
        return tf.switch_case(index, [functools.partial(part, clean, corruption_seed) for part in self.corruptions])


@dataclasses.dataclass(frozen=True)
class Sometimes:
    """Corrupts an image by chance, or leaves it as it is: a network that is to spare clean photographs must see some.

    Args:
        corruption: what is applied.
        chance: that it is, in [0, 1].

    Raises:
        ValueError: it is no corruption, or no such chance.
    """

    corruption: object
    chance: float

    def __post_init__(self):
        if not callable(self.corruption):
            raise ValueError(f"`corruption` must be a corruption. Received: corruption={self.corruption!r}.")
        if isinstance(self.chance, str) or not 0 <= self.chance <= 1:
            raise ValueError(f"`chance` must be a number from 0 to 1. Received: chance={self.chance!r}.")

    def __call__(self, clean, seed):
        chance_seed, corruption_seed = tf.unstack(tf.random.split(seed))
        chosen = tf.random.stateless_uniform([], chance_seed) < self.chance
        return tf.where(chosen, self.corruption(clean, corruption_seed), clean)


def _check(corruptions):
    if not (isinstance(corruptions, tuple) and corruptions and all(callable(part) for part in corruptions)):
        raise ValueError(f"`corruptions` must be a tuple of corruptions. Received: corruptions={corruptions!r}.")
