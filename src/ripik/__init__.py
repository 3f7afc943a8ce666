"""ripik: a leak-free competition solution for image classification on Keras 3."""

__version__ = "0.1.0"
