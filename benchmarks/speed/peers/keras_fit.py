"""Keras as its users train a frozen EfficientNetB0: `fit` over a tf.data pipeline, again for every fold and epoch.

    python keras_fit.py DATA --input stored --copies FOLDER    reads `<id>_<copy>.jpg`, decoded by tf.io
    python keras_fit.py DATA --input albumentations            augments in a numpy_function

`--limit` photos are taken, each as many times as `--rows-per-photo` says (its copies, or new draws of the transforms).
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pandas as pd
import tensorflow as tf

SIZE = 224


def read_rows(given: argparse.Namespace) -> tuple[list[str], np.ndarray, list]:
    """Return the files, the class indices of every row, and the classes."""
    train = pd.read_csv(given.data / "train" / "train.csv").head(given.limit)
    classes = sorted(train["label"].unique())
    files, labels = [], []
    for _, row in train.iterrows():
        for copy in range(given.rows_per_photo):
            stored = given.copies / f"{row['image_id']}_{copy}.jpg" if given.copies else None
            files.append(str(stored or given.data / "train" / "images" / row["filename"]))
            labels.append(classes.index(row["label"]))
    return files, np.array(labels), classes


def decode(name: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode a stored copy."""
    image = tf.io.decode_jpeg(tf.io.read_file(name), channels=3)
    return tf.ensure_shape(image, (SIZE, SIZE, 3)), label


def augmenter() -> Any:
    """Return the map that reads a photo and augments it by Albumentations in a numpy_function."""
    from source_transforms import source_transforms

    transform = source_transforms(512)

    def in_numpy(name: bytes) -> np.ndarray:
        image = cv2.cvtColor(cv2.imread(name.decode()), cv2.COLOR_BGR2RGB)
        return cv2.resize(transform(image=image)["image"], (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def augment(name: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(in_numpy, [name], tf.uint8)
        return tf.ensure_shape(image, (SIZE, SIZE, 3)), label

    return augment


def pipeline(files: list[str], labels: np.ndarray, classes: int, given: argparse.Namespace) -> tf.data.Dataset:
    """Return shuffled batches of uint8 images and one-hot labels, prefetched."""
    data = tf.data.Dataset.from_tensor_slices((files, tf.one_hot(labels, classes)))
    data = data.shuffle(len(files), seed=0)
    data = data.map(decode if given.input == "stored" else augmenter(), num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(given.batch_size).prefetch(tf.data.AUTOTUNE)


def build(classes: int, weights: str) -> keras.Model:
    """Return the network with its backbone frozen, compiled."""
    backbone = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    if weights:
        backbone.load_weights(weights)
    backbone.trainable = False
    layers = [backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def main() -> None:
    """Train; print seconds of everything from building the network on, rows and the last loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the competition's folder")
    parser.add_argument("--input", choices=("stored", "albumentations"), default="stored")
    parser.add_argument("--copies", type=Path, help="folder of stored copies")
    parser.add_argument("--weights", default="")
    parser.add_argument("--limit", type=int, default=150, help="photos")
    parser.add_argument("--rows-per-photo", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    cv2.setNumThreads(1)
    keras.utils.set_random_seed(0)
    files, labels, classes = read_rows(given)
    start = time.perf_counter()
    model = build(len(classes), given.weights)
    history = model.fit(pipeline(files, labels, len(classes), given), epochs=given.epochs, verbose=0).history
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "images": len(files) * given.epochs, "batch_size": given.batch_size}
    print(json.dumps(result | {name: values[-1] for name, values in history.items()}), flush=True)


if __name__ == "__main__":
    main()
