"""The cases of `tests.bad_input` about weights files."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from tests.bad_input_world import Case

NETWORK, REMEDY = "efficientnetb0", "include_top=False"


def case(name: str, content: bytes | Callable[[Path], None] | None, *says: str, file: str = "b0.weights.h5") -> Case:
    """Return the case of a weights file of this content."""

    def spoil(tiny):  # type: ignore[no-untyped-def]
        tiny.config.write_text(tiny.config.read_text().replace("SmallNet", "EfficientNetB0"))
        if callable(content):
            content(tiny.folder / file)
        elif content is not None:
            (tiny.folder / file).write_bytes(content)

    return Case(
        "weights",
        name,
        spoil,
        (file, *says),
        2,
        ("train", "--variants", "original", "--set", f"network.weights={{folder}}/{file}"),
    )


def zipped() -> bytes:
    """Return a zip archive of a member such as .keras models have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    return buffer.getvalue()


def keras_2(layers: int) -> Callable[[Path], None]:
    """Write a file of Keras' older format with so many layers of one weight each."""

    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            names = [f"layer_{number}" for number in range(layers)]
            file.attrs["layer_names"] = np.array(names, dtype="S")
            for name in names:
                group = file.create_group(name)
                group["kernel"] = np.zeros(1, "float32")
                group.attrs["weight_names"] = np.array(["kernel"], dtype="S")

    return write


def keras_3(path: Path) -> None:
    """Write a file of Keras' own format with one dense layer."""
    with h5py.File(path, "w") as file:
        for number, shape in enumerate([(3, 2), (2,)]):
            file[f"layers/dense/vars/{number}"] = np.zeros(shape, "float32")


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Write such a file, its bytes changed."""

    def write(path: Path) -> None:
        keras_3(path)
        path.write_bytes(change(path.read_bytes()))

    return write


def folder(path: Path) -> None:
    path.mkdir()


def damaged(data: bytes) -> bytes:
    at = data.index(b"HEAP")
    return data[:at] + b"heap" + data[at + 4 :]


CASES = (
    case("no such file", None, "network.weights: there is no file", "Give the path"),
    case("a folder", folder, "network.weights: there is no file", "Give the path"),
    case("an empty file", b"", "network.weights", "is empty", REMEDY),
    case("a text file", b"weights of my network\n", "network.weights", "not an HDF5 weights file", REMEDY),
    case("a web page", b"<!DOCTYPE html><html>", "network.weights", "a web page", REMEDY),
    case("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", REMEDY),
    case("a pickle", pickle.dumps(np.zeros(3)), "network.weights", "Python pickle", "never opened", REMEDY),
    case("a .keras model", zipped(), "network.weights", "a zip archive", REMEDY, file="b0.keras"),
    case("a cut file", changed(lambda data: data[: len(data) // 2]), "is truncated", "interrupted download", REMEDY),
    case("a damaged file", changed(damaged), "is damaged", REMEDY),
    case("another network", keras_3, f"not contain weights of {NETWORK}", "layers find no weights", REMEDY),
    case(
        "with its classification layer (Keras 2)",
        keras_2(132),
        f"not contain weights of {NETWORK} without its top",
        "it has 132 layers with weights, the network has 131",
        REMEDY,
        file="b0.h5",
    ),
    case("Keras 3's format named .h5", keras_3, "network.weights", "Rename it to b0.weights.h5", file="b0.h5"),
    case("Keras 2's format named .weights.h5", keras_2(2), "network.weights", "Rename it to b0.h5"),
)
