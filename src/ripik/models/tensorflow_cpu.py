"""What TensorFlow computes faster on a CPU by another way than Keras takes: the same numbers but for rounding.

Imported by `operations` alone. Only gradients are compiled by XLA, which makes one pass over memory
of an elementwise chain; its convolutions are several times slower than those of oneDNN.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ripik.models.padding import same_margins

PART = 3  # columns of a depthwise filter: for the gradient of up to so many oneDNN has a kernel of its own


@tf.function(jit_compile=True)
def _swish_gradient(inputs: Any, upstream: Any) -> Any:
    gate = tf.sigmoid(inputs)
    return upstream * gate * (1 + inputs * (1 - gate))


@tf.function(jit_compile=True)
def _excited_gradient(inputs: Any, upstream: Any, gate: Any, each: Any) -> Any:
    active = tf.sigmoid(inputs)
    return (upstream * gate + each) * active * (1 + inputs * (1 - active))


@tf.custom_gradient
def swish(inputs: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return x · sigmoid(x)."""
    return inputs * tf.sigmoid(inputs), lambda upstream: _swish_gradient(inputs, upstream)


@tf.custom_gradient
def excited(
    inputs: Any, reduce: Any, reduce_bias: Any, expand: Any, expand_bias: Any
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return `operations.excited`, whose gradient is one pass over memory beside a sum."""
    active, weights = inputs * tf.sigmoid(inputs), (reduce, reduce_bias, expand, expand_bias)
    means = tf.reduce_mean(active, axis=(1, 2))
    gate = _gate(means, *weights)[:, None, None]

    def gradients(upstream: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            tape.watch([means, *weights])
            again = _gate(means, *weights)
        of_gate = tf.reduce_sum(upstream * active, axis=(1, 2))
        of_means, *of_weights = tape.gradient(again, [means, *weights], of_gate)
        each = of_means / tf.cast(inputs.shape[1] * inputs.shape[2], tf.float32)
        return _excited_gradient(inputs, upstream, gate, each[:, None, None]), *of_weights

    return active * gate, gradients


def _gate(means: Any, reduce: Any, reduce_bias: Any, expand: Any, expand_bias: Any) -> Any:
    reduced = means @ reduce + reduce_bias
    return tf.sigmoid(reduced * tf.sigmoid(reduced) @ expand + expand_bias)


@tf.custom_gradient
def biased(inputs: Any, bias: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
    """Add a bias (C,) to inputs (n, h, w, C), in one operation with the convolution before it.

    The bias' gradient is a sum of its own: TensorFlow would make it with the filter's, which then takes 2.5 times as
    long.
    """
    return tf.nn.bias_add(inputs, bias), lambda upstream: (upstream, tf.reduce_sum(upstream, axis=(0, 1, 2)))


def depthwise(inputs: Any, kernel: Any, stride: int, padding: str) -> Any:
    """Return the depthwise convolution of inputs (n, h, w, C) of known size with a kernel (k, k, C, 1)."""
    strides = [1, stride, stride, 1]

    @tf.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            back = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=kernel,
                out_backprop=upstream,
                strides=strides,
                padding=padding,
            )
            return back, _kernel_gradient(inputs, kernel.shape, upstream, strides, padding)

        return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding), gradients

    return convolve(inputs, kernel)


def _kernel_gradient(inputs: Any, shape: Any, upstream: Any, strides: list[int], padding: str) -> Any:
    """Return the gradient of a depthwise kernel: of its columns 0–2, and of those from the end, 2–4."""
    height, width, channels, _ = shape
    rows = _margins(inputs.shape[1], height, strides[1], padding)
    left, _ = _margins(inputs.shape[2], width, strides[1], padding)
    needed = (upstream.shape[2] - 1) * strides[1] + PART
    parts = []
    for first in (0, width - PART):
        start, end = first - left, first - left + needed
        columns = (max(0, -start), max(0, end - inputs.shape[2]))
        part = tf.pad(inputs[:, :, max(0, start) : end], [(0, 0), rows, columns, (0, 0)])
        parts.append(
            tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=part,
                filter_sizes=[height, PART, channels, 1],
                out_backprop=upstream,
                strides=strides,
                padding="VALID",
            )
        )
    return tf.concat([parts[0], parts[1][:, 2 * PART - width :]], axis=1)


def _margins(size: int, kernel: int, stride: int, padding: str) -> tuple[int, int]:
    return same_margins(size, kernel, stride) if padding == "SAME" else (0, 0)


class Adam(keras.optimizers.Adam):
    """Keras' Adam, which takes a variable's step in one operation, not in a dozen passes over memory."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change a variable and its two moments."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, tf.float32), step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
