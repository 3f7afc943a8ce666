"""A part of a backbone as it is trained: BatchNorm in inference mode, folded into the convolution before it.

norm(conv(x, W) + b) = conv(x, W · γ/σ) + (b − μ)γ/σ + β, computed in every step from W, b, γ, β, μ and σ, which stay
the variables: so optimizers, states and files of weights know nothing of it. Outputs and gradients differ by rounding
alone.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers, ops

from ripik.models import operations
from ripik.models.padding import same_margins

SAME, VALID = "same", "valid"


class FoldedConvolution(layers.Layer):
    """A convolution and the BatchNorm that follows it, both of them layers of a backbone, as one convolution."""

    def __init__(self, convolution: Any, norm: Any, padding: str) -> None:
        super().__init__(name=norm.name, dtype=convolution.dtype_policy, autocast=False)
        self.convolution, self.norm, self.padding = convolution, norm, padding

    def call(self, inputs: Any) -> Any:
        """Convolve with the folded kernel, which is computed in float32, and add what is left of the norm."""
        norm, convolution = self.norm, self.convolution
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        scale = scale * norm.gamma if norm.scale else scale
        shift = convolution.bias - norm.moving_mean if convolution.use_bias else -norm.moving_mean
        bias = shift * scale + norm.beta if norm.center else shift * scale
        along = ops.reshape(scale, (1, 1, -1, 1)) if is_depthwise(convolution) else scale
        kernel = ops.cast(convolution.kernel * along, self.compute_dtype)
        outputs = self._convolve(ops.cast(inputs, self.compute_dtype), kernel)
        return operations.biased(outputs, ops.cast(bias, self.compute_dtype))

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        strides = self.convolution.strides
        if is_depthwise(self.convolution):
            return operations.depthwise(inputs, kernel, strides[0], self.padding)
        return ops.conv(inputs, kernel, strides=strides, padding=self.padding)


class Swish(layers.Layer):
    """Swish with a gradient that is cheap."""

    def call(self, inputs: Any) -> Any:
        """Return x · sigmoid(x)."""
        return operations.swish(inputs)


class Excited(layers.Layer):
    """Swish, and its channels weighed by what two convolutions make of their means: layers of a backbone as one."""

    def __init__(self, reduce: Any, expand: Any, name: str) -> None:
        super().__init__(name=name, dtype=reduce.dtype_policy)
        self.reduce, self.expand = reduce, expand

    def call(self, inputs: Any) -> Any:
        """Return the swish of the inputs, weighed."""
        weights = [value for layer in (self.reduce, self.expand) for value in (layer.kernel[0, 0], layer.bias)]
        return operations.excited(inputs, *(ops.cast(value, self.compute_dtype) for value in weights))


@dataclass
class _Folding:
    """What becomes of a body's layers, by name: norms are called with their convolutions, paddings with theirs."""

    body: keras.Model
    norms: dict[str, Any] = field(default_factory=dict)  # BatchNorm → its convolution
    paddings: dict[str, Any] = field(default_factory=dict)  # convolution → the padding before it
    excited: dict[str, list[Any]] = field(default_factory=dict)  # product with a gate → the gate's two convolutions
    left_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        found = [layer for layer in self.body.layers if not isinstance(layer, layers.InputLayer)]
        self.makers = {id(layer.output): layer for layer in found}
        self.uses = Counter(id(tensor) for layer in found for tensor in _tensors(layer.input))
        self.uses.update(id(tensor) for tensor in self.body.outputs)
        for layer in found:
            if isinstance(layer, layers.BatchNormalization):
                self._fold(layer)
            if isinstance(layer, layers.Multiply):
                self._excite(layer)

    def _fold(self, norm: Any) -> None:
        convolution = self._before(norm)
        if not (_is_foldable(convolution) and norm.axis in (-1, 3)):
            return
        self.norms[norm.name] = convolution
        self.left_out.add(convolution.name)
        padding = self._before(convolution)
        if isinstance(padding, layers.ZeroPadding2D) and _is_same(padding, convolution):
            self.paddings[convolution.name] = padding
            self.left_out.add(padding.name)

    def _excite(self, product: Any) -> None:
        """Note a product of a swish and of what two convolutions make of its means, as EfficientNet has it."""
        active, gate = product.input if len(product.input) == 2 else (None, None)
        swish, expand = self.makers.get(id(active)), self.makers.get(id(gate))
        chain: list[Any] = [expand]
        while len(chain) < 4 and chain[-1] is not None:
            chain.append(self._before(chain[-1]))
        if self.uses[id(gate)] != 1 or self.uses[id(active)] != 2 or None in chain or not _is_swish(swish):
            return
        _, reduce, shaped, pooled = chain
        dense = _is_dense(expand, "sigmoid") and _is_dense(reduce, "silu")
        means = type(pooled) is layers.GlobalAveragePooling2D and pooled.input is active
        if dense and means and isinstance(shaped, layers.Reshape) and reduce.input.shape[1:3] == (1, 1):
            self.excited[product.name] = [reduce, expand]
            self.left_out.update(layer.name for layer in (swish, *chain))

    def _before(self, layer: Any) -> Any:
        """Return the layer whose output is the input of this one, and of nothing else; None where there is none."""
        source = layer.input
        return self.makers.get(id(source)) if self.uses[id(source)] == 1 else None

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what stands for a layer."""
        if layer.name in self.left_out:
            return args[0]
        if layer.name in self.norms:
            convolution = self.norms[layer.name]
            padding = SAME if convolution.name in self.paddings else convolution.padding
            return FoldedConvolution(convolution, layer, padding)(args[0])
        if layer.name in self.excited:
            reduce, expand = self.excited[layer.name]
            return Excited(reduce, expand, layer.name)(args[0][0])
        if _is_swish(layer):
            return Swish(name=layer.name, dtype=layer.dtype_policy)(args[0])
        return layer(*args, **kwargs)


def folded(body: keras.Model) -> keras.Model:
    """Return a network of the body's own layers and variables that computes the same in inference mode.

    So do swish, and the gates of EfficientNet's channels, with gradients that are cheap.
    A BatchNorm stays as it is where it does not directly follow a convolution that has no activation and feeds nothing
    else.
    """
    how = _Folding(body)
    return keras.models.clone_model(body, clone_function=lambda layer: layer, call_function=how.call)


def is_depthwise(layer: Any) -> bool:
    """Whether a layer is a depthwise convolution."""
    return isinstance(layer, layers.DepthwiseConv2D)


def _tensors(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _is_swish(layer: Any) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.silu


def _is_dense(layer: Any, activation: str) -> bool:
    """Whether a layer is a convolution with a kernel of 1 × 1 and a bias, followed by this activation."""
    if type(layer) is not layers.Conv2D or layer.groups > 1 or not layer.use_bias or set(layer.strides) != {1}:
        return False
    return layer.kernel_size == (1, 1) and layer.activation is keras.activations.get(activation)


def _is_foldable(layer: Any) -> bool:
    if type(layer) not in (layers.Conv2D, layers.DepthwiseConv2D):
        return False
    plain = layer.activation is keras.activations.linear
    whole = layer.groups == 1 if type(layer) is layers.Conv2D else layer.depth_multiplier == 1
    undilated = set(layer.dilation_rate) == {1} and len(set(layer.strides)) == 1
    return plain and whole and undilated and layer.data_format == "channels_last"


def _is_same(padding: Any, convolution: Any) -> bool:
    """Whether zeros, laid around before the convolution, are those that its own `same` padding would put there."""
    if convolution.padding != VALID or padding.data_format != "channels_last":
        return False
    size, stride = padding.input.shape[1:3], convolution.strides[0]
    kernel = convolution.kernel_size
    wanted = [same_margins(size[axis], kernel[axis], stride) for axis in (0, 1)]
    return [tuple(pair) for pair in padding.padding] == wanted
