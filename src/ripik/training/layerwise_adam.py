"""Adam for finetuning: decoupled weight decay, a rate that falls from the head down, a running mean of the weights."""

import re
from collections.abc import Sequence
from typing import Any

from keras import ops
from keras.optimizers import Adam

NEVER_DECAYED = ("bias", "gamma", "beta")  # of convolutions and heads, and what normalises


def layerwise(adam: type) -> type:
    """Return such an Adam, by Keras' own or one that computes the same; see `Layerwise`."""
    return type("LayerwiseAdam", (Layerwise, adam), {})


class Layerwise(Adam):
    """Adam with a factor of the learning rate for each variable.

    Each step takes rate × weight_decay × value from kernels (AdamW, Loshchilov and Hutter 2019, ICLR), all of it times
    the variable's factor. With `momentum`, `averages` holds a mean of the weights of past steps, which fades by it (m);
    at step t it is min(m, (1 + t) / (10 + t)), so that the mean forgets where the training began.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        factors: Sequence[float],
        weight_decay: float = 0.0,
        clip: float | None = None,
        momentum: float = 0.0,
    ) -> None:
        """Take a factor for each trainable variable, in their order; clip: the gradient's norm over all of them."""
        super().__init__(learning_rate, global_clipnorm=clip)
        self.factors, self.decay, self.momentum = tuple(factors), weight_decay, momentum
        self.averages: list[Any] = []
        self.decayed: list[bool] = []

    def build(self, variables: Any) -> None:
        """Make the moments, and the mean of the weights, which begins at the weights."""
        if self.built:
            return
        super().build(variables)
        if len(variables) != len(self.factors):
            raise ValueError(f"{len(self.factors)} factors of the rate for {len(variables)} variables")
        self.decayed = [bool(self.decay) and not each.path.endswith(NEVER_DECAYED) for each in variables]
        if self.momentum:
            self.averages = self.add_optimizer_variables(variables, "average")
            for average, variable in zip(self.averages, variables, strict=True):
                average.assign(ops.copy(variable))  # JAX gives away the buffers of what a step changes, each once

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move a variable, and its mean."""
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype) * self.factors[index]
        if self.decayed[index]:
            self.assign_sub(variable, variable * (rate * self.decay))
        super().update_step(gradient, variable, rate)
        if self.momentum:
            average, step = self.averages[index], ops.cast(self.iterations + 1, variable.dtype)
            kept = ops.minimum(self.momentum, (1 + step) / (10 + step))
            self.assign_add(average, (variable - average) * (1 - kept))


def rate_factors(variables: Sequence[Any], decay: float) -> list[float]:
    """Return the factor of each variable's rate: 1 in the last block, the head's, times `decay` a block downwards.

    A block is what the layers' names begin with, letters and a number: stem, block1 … block7, top, head. Each stands
    where its first variable does (Howard and Ruder 2018, ACL, for rates by depth).
    """
    blocks = [_block(variable.path) for variable in variables]
    order = list(dict.fromkeys(blocks))
    return [decay ** (len(order) - 1 - order.index(block)) for block in blocks]


def _block(path: str) -> str:
    layer = path.split("/")[-2]
    found = re.match(r"[a-z]+\d*", layer)
    return found.group() if found else layer
