"""A training whose numbers are no longer numbers."""

from ripik.errors import InputError
from ripik.names import HALF
from ripik.training.jobs import Training


class DivergedError(InputError):
    """The loss, the weights or the probabilities of a training are NaN or infinite."""


def diverged(training: Training, what: str, precision: str) -> DivergedError:
    """Return the error that says so, and what to do.

    what: what became NaN or infinite, with a word of when before or after. precision: what the network computes in.
    """
    name, rate = training.variant.name, training.variant.learning_rate
    wider = f", or use a wider number range: --set variants.{name}.precision=float32" if precision == HALF else ""
    return DivergedError(
        f"{training}: {what}. Lower the learning rate of this variant, for instance --set "
        f"variants.{name}.learning_rate={rate / 10:g}{wider}."
    )
