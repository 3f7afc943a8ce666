import keras
import numpy as np
import pytest

from ripik.models import operations
from ripik.training.layerwise_adam import layerwise, rate_factors

LayerwiseAdam = layerwise(operations.adam("float32"))


def network() -> keras.Model:
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="block1a_dense", kernel_initializer="ones")(inputs)
    hidden = keras.layers.Dense(3, name="block1b_dense", kernel_initializer="ones")(hidden)
    hidden = keras.layers.Dense(3, name="top_dense", kernel_initializer="ones")(hidden)
    return keras.Model(inputs, keras.layers.Dense(2, name="head", kernel_initializer="ones")(hidden))


def gradients(model: keras.Model, steps: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.normal(size=each.shape).astype("float32") for each in model.trainable_variables] for _ in range(steps)]


def moved(model: keras.Model, optimizer: keras.optimizers.Optimizer, steps: int = 5) -> list[np.ndarray]:
    optimizer.build(model.trainable_variables)
    for step in gradients(model, steps):
        optimizer.apply([keras.ops.convert_to_tensor(each) for each in step])
    return [np.array(each) for each in model.trainable_variables]


def test_without_factors_it_is_adamw_that_leaves_biases_alone() -> None:
    other = keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0)
    other.exclude_from_weight_decay(var_names=["bias"])
    mine = LayerwiseAdam(0.01, factors=[1.0] * 8, weight_decay=0.1, clip=1.0)
    for a, b in zip(moved(network(), mine), moved(network(), other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_factor_scales_the_whole_step_of_its_variable() -> None:
    half = LayerwiseAdam(0.01, factors=[0.5] * 2 + [1.0] * 6, weight_decay=0.1)
    slow = LayerwiseAdam(0.005, factors=[1.0] * 8, weight_decay=0.1)
    fast = LayerwiseAdam(0.01, factors=[1.0] * 8, weight_decay=0.1)
    found, slower, faster = (moved(network(), each) for each in (half, slow, fast))
    for number, each in enumerate(found):
        np.testing.assert_allclose(each, (slower if number < 2 else faster)[number], rtol=1e-6)


def test_the_mean_of_the_weights_follows_them() -> None:
    model, optimizer = network(), LayerwiseAdam(0.01, factors=[1.0] * 8, momentum=0.9)
    optimizer.build(model.trainable_variables)
    wanted = [np.array(each) for each in model.trainable_variables]
    for number, step in enumerate(gradients(model, 30), start=1):
        optimizer.apply([keras.ops.convert_to_tensor(each) for each in step])
        kept = min(0.9, (1 + number) / (10 + number))
        wanted = [kept * a + (1 - kept) * np.array(b) for a, b in zip(wanted, model.trainable_variables, strict=True)]
    for average, value in zip(optimizer.averages, wanted, strict=True):
        np.testing.assert_allclose(np.array(average), value, rtol=1e-4, atol=1e-6)
    assert len(optimizer.variables) == len(LayerwiseAdam(0.1, factors=[1.0] * 8).variables) + 3 * 8


def test_rates_fall_from_the_head_down_by_blocks() -> None:
    found = rate_factors(network().trainable_variables, 0.5)
    assert found == [0.25] * 4 + [0.5] * 2 + [1.0] * 2


def test_other_variables_than_the_factors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 factors .* 8 variables"):
        LayerwiseAdam(0.1, factors=[1.0] * 3).build(network().trainable_variables)
