"""What a training by Keras minimises, and how: loss, optimizer and learning-rate schedule."""

from dataclasses import dataclass
from typing import Any

import keras

from ripik.models import backend, operations
from ripik.models.variables import assign, values_of
from ripik.names import HALF, HEAD
from ripik.training.checkpoint import Arrays
from ripik.training.layerwise_adam import layerwise, rate_factors
from ripik.training.schedule import warmup_steps
from ripik.variants import Variant


class CosineDecay(keras.optimizers.schedules.CosineDecay):
    """Keras' schedule; its numbers are variables where a compiled step reads them, so that they can be changed."""

    def __init__(self, rate: float, steps: int, warmup: int, *, variables: bool = False) -> None:
        """Warm up from 0 to `rate` over `warmup` of the steps, if any, then decay to 0."""
        start, target = (0.0, rate) if warmup else (rate, None)
        super().__init__(start, max(1, steps - warmup), warmup_target=target, warmup_steps=warmup)
        names = ("initial_learning_rate", "decay_steps", *(("warmup_target", "warmup_steps") if warmup else ()))
        self.numbers = tuple(float(getattr(self, name)) for name in names)
        if variables:
            self.variables = tuple(keras.Variable(number, trainable=False) for number in self.numbers)
            for name, variable in zip(names, self.variables, strict=True):
                setattr(self, name, variable)

    def take(self, other: "CosineDecay") -> None:
        """Become the other schedule, which has a warm-up if this one has."""
        for variable, number in zip(self.variables, other.numbers, strict=True):
            variable.assign(number)


@dataclass
class Compiled:
    """A model compiled to be trained again and again: its schedule, and the optimizer's variables at the start."""

    model: keras.Model
    schedule: CosineDecay | float
    start: Arrays

    @classmethod
    def compile(cls, model: keras.Model, variant: Variant, steps: int) -> "Compiled":
        """Compile a model as `compile_model` does, and build its optimizer."""
        schedule = compile_model(model, variant, steps)
        model.optimizer.build(model.trainable_variables)
        return cls(model, schedule, values_of(model.optimizer.variables))

    def restart(self, variant: Variant, steps: int) -> bool:
        """Bring the optimizer and the metrics to the start of another training; False where it must be compiled again.

        The trainings of one model have the same loss, and the same kind of schedule.
        """
        schedule = _schedule(variant, steps)
        if not backend.keeps_compiled() or _form(schedule) != _form(self.schedule):
            return False
        assign(self.model.optimizer.variables, self.start)
        if averages := averages_of(self.model):
            assign(averages, values_of(self.model.trainable_variables))
        if isinstance(schedule, CosineDecay) and isinstance(self.schedule, CosineDecay):
            self.schedule.take(schedule)
        else:
            self.model.optimizer.learning_rate = schedule
        self.model.reset_metrics()
        return True


def _form(schedule: CosineDecay | float) -> int:
    return len(schedule.numbers) if isinstance(schedule, CosineDecay) else 0


def compile_model(model: keras.Model, variant: Variant, steps: int) -> CosineDecay | float:
    """Compile with Adam on categorical cross-entropy; return the variant's learning-rate schedule over `steps`.

    cosine: linear warm-up from 0 over `warmup` of the steps, then half a cosine to 0 (Loshchilov & Hutter 2017, SGDR).
    A network that computes in float16 has its loss scaled: a step whose gradients overflow all the same is left out,
    and does not count as one.
    """
    schedule = _schedule(variant, steps, variables=backend.keeps_compiled())
    optimizer = _adam(model, variant, schedule)
    if model.dtype_policy.name == HALF:
        optimizer = backend.loss_scaled(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=variant.label_smoothing),
        metrics=["accuracy"],
        jit_compile=backend.compiles(),
    )
    return schedule


def _adam(model: keras.Model, variant: Variant, schedule: Any) -> Any:
    adam = keras.optimizers.Adam if variant.train_from == HEAD else operations.adam(model.dtype_policy.name)
    if (variant.weight_decay, variant.rate_decay, variant.clip, variant.average) == (0.0, 1.0, 0.0, 0.0):
        return adam(schedule)
    return layerwise(adam)(
        schedule,
        factors=rate_factors(model.trainable_variables, variant.rate_decay),
        weight_decay=variant.weight_decay,
        clip=variant.clip or None,
        momentum=variant.average,
    )


def averages_of(model: keras.Model) -> list[Any]:
    """Return the variables of the running means of a compiled model's weights; none where it keeps none."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return list(getattr(optimizer, "averages", []))


def _schedule(variant: Variant, steps: int, *, variables: bool = False) -> CosineDecay | float:
    if variant.schedule != "cosine":
        return variant.learning_rate
    return CosineDecay(variant.learning_rate, steps, warmup_steps(variant, steps), variables=variables)
