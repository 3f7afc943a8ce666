"""Cheap search for images that may be near copies: nearest neighbours of short descriptors, in buckets.

A descriptor is the slowest waves (DCT) of the locally normalised thumbnail: brightness, contrast, noise and blur leave
them nearly as they are, and turning an image only swaps them and changes their signs. Every image is looked up by the
descriptors of a few of its crops in all eight turns, among those of every image, so that the two may be cropped
differently. Beyond a few thousand images only the nearest buckets of an inverted file are searched (k-means cells with
several probes; Sivic and Zisserman 2003, Jégou, Douze and Schmid 2011): their number grows with the images, so that
the cost of one image hardly does. Images are looked up in chunks, so that the memory is bounded.
"""

from functools import partial

import cv2
import numpy as np
from joblib import Parallel, delayed
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from ripik.splits.near_copies.registration import SIZE, TURNS, locally_normalised

WAVES = 8  # a descriptor holds the WAVES × WAVES slowest waves of the DCT
INNER = ((0.05, 0.05, 0.9), (0, 0, 0.9), (0, 0.1, 0.9), (0.1, 0, 0.9), (0.1, 0.1, 0.9))  # left, top, side, as shares
CROPS = (*INNER, (0, 0, 1), (0.1, 0.1, 0.8))
NEIGHBOURS = 8  # candidates an image
FLOOR = 0.6  # descriptors less alike than this are no candidates
BUCKET = 1000  # descriptors in a bucket, on average
PROBES = 6  # buckets looked into for each turn of each crop
TRAINING = 64  # descriptors a bucket that its centre is learnt from
PART = 10**5  # descriptors put into buckets at a time
CHUNK = 250  # images looked up at a time
CROWD = 32  # hits kept for each turn of each crop in one bucket


def describe(thumbnail: np.ndarray) -> np.ndarray:
    """One unit vector a crop, float32 (crops, WAVES²), of a grey thumbnail, uint8 (SIZE, SIZE); zeros if it is flat."""
    detail = locally_normalised(thumbnail.astype(np.float32), 12.0, 16.0)
    weight = np.sqrt(np.hypot(*np.indices((WAVES, WAVES))))  # photos have less of the faster waves; none of the mean
    descriptors = np.empty((len(CROPS), WAVES**2), np.float32)
    for row, (x, y, side) in zip(descriptors, CROPS, strict=True):
        left, top, right, bottom = (round(edge * SIZE) for edge in (x, y, x + side, y + side))
        crop = cv2.resize(detail[top:bottom, left:right], (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
        waves = cv2.dct(crop)[:WAVES, :WAVES] * weight
        row[:] = waves.ravel() / max(float(np.linalg.norm(waves)), 1e-6)
    return descriptors


def turned_descriptors(descriptors: np.ndarray) -> np.ndarray:
    """What descriptors (…, WAVES²) become when their image is turned: float32 (…, turns, WAVES²)."""
    waves = descriptors.reshape(*descriptors.shape[:-1], WAVES, WAVES)
    wave = np.arange(WAVES)
    views = [(waves.swapaxes(-1, -2) if flip else waves) * x**wave * y ** wave[:, None] for flip, x, y in TURNS]
    return np.stack(views, axis=-3).astype(np.float32).reshape(*descriptors.shape[:-1], len(TURNS), WAVES**2)


def candidate_pairs(descriptors: np.ndarray, *, workers: int = 1, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Pairs int64 (m, 2), each ascending, sorted, of images and their nearest neighbours.

    descriptors: float32 (n, crops, WAVES²). `workers`: threads; their number does not change the result.
    """
    n = len(descriptors)
    if n < 2:
        return np.zeros((0, 2), np.int64)
    with threadpool_limits(1):  # BLAS would add its own threads, and round differently with their number
        search = partial(_nearest, descriptors, Buckets(descriptors), neighbours)
        chunks = [np.arange(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
        found = Parallel(workers, prefer="threads")(delayed(search)(chunk) for chunk in chunks)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def nearest_among(
    descriptors: np.ndarray, images: np.ndarray, references: np.ndarray, allowed: np.ndarray, count: int
) -> np.ndarray:
    """Pairs int64 (m, 2) of each image and the `count` allowed references most alike it uncropped, in any turn.

    images: int64 (k,). references: int64 (r,). allowed: whom an image may be paired with, bool (k, r).
    """
    whole, pairs = CROPS.index((0, 0, 1)), [np.zeros((0, 2), np.int64)]
    with threadpool_limits(1):
        for start in range(0, len(images), CHUNK):
            chunk, may = images[start : start + CHUNK], allowed[start : start + CHUNK]
            alike = (turned_descriptors(descriptors[chunk, whole]) @ descriptors[references, whole].T).max(axis=1)
            order = np.argsort(np.where(may, -alike, np.inf), axis=1, kind="stable")[:, :count]
            row, place = np.nonzero(np.take_along_axis(may, order, axis=1))
            pairs.append(np.stack([chunk[row], references[order[row, place]]], axis=1))
    return np.concatenate(pairs)


class Buckets:
    """Descriptors by their nearest centre: number k has `entries` and `images` [starts[k] : starts[k + 1]]."""

    def __init__(self, descriptors: np.ndarray) -> None:
        every = descriptors.reshape(-1, WAVES**2)
        self.centres = _centres(every)
        parts = (every[start : start + PART] for start in range(0, len(every), PART))
        cell = np.concatenate([(part @ self.centres.T).argmax(axis=1) for part in parts])
        order = np.argsort(cell, kind="stable")
        self.entries, self.images = every[order], order // descriptors.shape[1]
        self.starts = np.searchsorted(cell[order], np.arange(len(self.centres) + 1))


def _centres(descriptors: np.ndarray) -> np.ndarray:
    """Unit vectors (cells, WAVES²); a single one as long as one bucket and its probes would hold everything."""
    count = len(descriptors) // BUCKET
    if count <= PROBES:
        return np.zeros((1, WAVES**2), np.float32)
    sample = descriptors[np.random.default_rng(0).permutation(len(descriptors))[: count * TRAINING]]
    centres = (
        MiniBatchKMeans(count, batch_size=4096, n_init=1, max_iter=20, random_state=0).fit(sample).cluster_centers_
    )
    return (centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)).astype(np.float32)


def _nearest(descriptors: np.ndarray, buckets: Buckets, neighbours: int, chunk: np.ndarray) -> np.ndarray:
    """Pairs (image of the chunk, neighbour), int64 (m, 2)."""
    queries = turned_descriptors(descriptors[chunk, : len(INNER)]).reshape(-1, WAVES**2)
    probes = np.argpartition(queries @ buckets.centres.T, -min(PROBES, len(buckets.centres)), axis=1)[:, -PROBES:]
    images, others, values = [], [], []
    for cell in np.unique(probes):
        rows, part = np.flatnonzero((probes == cell).any(axis=1)), slice(*buckets.starts[cell : cell + 2])
        row, entry, alike = _hits(queries[rows] @ buckets.entries[part].T)
        images.append(chunk[rows[row] // (len(TURNS) * len(INNER))])
        others.append(buckets.images[part][entry])
        values.append(alike)
    return _closest(np.concatenate(images), np.concatenate(others), np.concatenate(values), neighbours)


def _hits(products: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the products that reach FLOOR, about CROWD a row at most."""
    hit = products >= FLOOR
    crowded = np.flatnonzero(hit.sum(axis=1) > CROWD)
    if crowded.size:
        hit[crowded] = products[crowded] >= np.partition(products[crowded], -CROWD, axis=1)[:, -CROWD, None]
    row, column = np.nonzero(hit)
    return row, column, products[row, column]


def _closest(images: np.ndarray, others: np.ndarray, alike: np.ndarray, neighbours: int) -> np.ndarray:
    """The `neighbours` most alike others of each image, each once and never itself: pairs (m, 2) by image."""
    order = np.lexsort([others, -alike, images])
    pairs = np.stack([images[order], others[order]], axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    first = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
    pairs = pairs[first]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    return pairs[rank < neighbours]
