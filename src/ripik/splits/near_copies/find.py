"""Near copies: which images show one and the same photo, so that folds can keep them together.

From cheap to careful: `candidates` names each image's nearest neighbours, `registration` lays each of these pairs over
one another and scores it, `clusters` makes groups of those that are alike and re-checks them from inside, so that no
weak link chains two photos; images that resemble unrelated ones too, as drawings do,
are judged by what is beyond `chance`.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from ripik.data.image_files import read_pixels
from ripik.data.pixel_rule import USUAL, PixelRule
from ripik.errors import InputError
from ripik.execution.parallel import end_with
from ripik.splits.near_copies.candidates import NEIGHBOURS, candidate_pairs, describe
from ripik.splits.near_copies.chance import beyond, chance_of, in_families
from ripik.splits.near_copies.clusters import Compare, Known, marked, settle
from ripik.splits.near_copies.in_place import similarity_in_place
from ripik.splits.near_copies.registration import SIZE, Prepared, prepare, similarity

DETECTOR = 3  # to be raised when the groups it finds may change
THRESHOLD = 0.55  # different photos of real scenes were not seen above 0.45, nor 99 % of the pairs of copies below 0.6
ROUNDS = 2  # of judging by chance: the first groups of drawings are too large to say what is unrelated
FILES, PAIRS = 32, 200  # files, and pairs, handed to a worker at a time

Progress = Callable[[int], None]  # images done so far
Report = Callable[[int, int], object]  # (done, of)


@dataclass(frozen=True)
class Groups:
    """Which of n images are one photo.

    `group`: int64 (n,), the smallest index in each image's group. `matched`: int64 (n,), its most similar partner, or
    -1. `similarity`: float64 (n,) in [0, 1], to that partner; 1.0 for byte-identical files, NaN for none.
    """

    group: np.ndarray
    matched: np.ndarray
    similarity: np.ndarray


def near_copy_groups(
    paths: Sequence[Path],
    *,
    threshold: float = THRESHOLD,
    workers: int = 1,
    on_progress: Progress | None = None,
    rule: PixelRule = USUAL,
) -> Groups:
    """Group the images that are near copies of one photo.

    Found are byte-identical files, and one photo after noise, blur, brightness, contrast, saturation, JPEG, mirroring,
    quarter turns and crops of up to 10 % a side. Images without structure (one flat colour, a gradient) group only when
    their bytes are equal. The result depends on the bytes of the files alone; another order only renames it.

    `threshold`: similarity from which two images are one photo. `workers`: processes. `on_progress` is given the number
    of images done so far (reading is half, comparing the rest). `rule`: by which they are decoded. InputError
    names a file that is missing or no image.
    """

    def report(start: float, done: int, of: int) -> None:
        if on_progress is not None:
            on_progress(round((start + done / of / 2) * len(paths)))

    if not paths:
        return Groups(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    thumbnails, descriptors, copy_of = _read_all(paths, rule, workers, partial(report, 0.0))
    pairs = candidate_pairs(descriptors, workers=workers)
    scores = _compare_all(similarity, thumbnails, workers, partial(report, 0.5), pairs)
    compare = partial(_compare_all, similarity, thumbnails, workers, lambda done, of: None)
    known = Known(len(thumbnails), pairs, scores, compare)
    _look_beyond_large_groups(descriptors, known, threshold)
    labels = settle(known, threshold)
    drawn = in_families(descriptors, known, labels, threshold)
    if drawn.any():
        in_place = partial(_compare_all, similarity_in_place, thumbnails, workers, lambda done, of: None)
        raw, images = known, np.flatnonzero(drawn)
        for _ in range(ROUNDS):
            judge = partial(_judged, raw, drawn, chance_of(descriptors, images, labels, in_place), in_place)
            known = Known(raw.n, raw.pairs, judge(raw.pairs), judge)
            labels = settle(known, threshold)
    report(0.5, 1, 1)
    return _as_groups(copy_of, labels, known.pairs, known.scores)


def _read_all(
    paths: Sequence[Path], rule: PixelRule, workers: int, report: Report
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thumbnails and descriptors of the distinct files, in an order of their own, and which of them each path is."""
    starts = range(0, len(paths), FILES)
    tasks = ((paths[start : start + FILES], rule) for start in starts)
    digests, thumbnails, descriptors = zip(*_run(_read, tasks, len(starts), workers, report), strict=True)
    _, first, copy_of = np.unique(np.concatenate(digests), return_index=True, return_inverse=True)
    return np.concatenate(thumbnails)[first], np.concatenate(descriptors)[first], copy_of


def _run(function: Callable, arguments: Iterable[tuple], of: int, workers: int, report: Report) -> list:
    """Results in the order of the arguments, which are taken one by one, from worker processes."""
    results = []
    parallel = Parallel(workers, return_as="generator", max_nbytes=None)
    for result in parallel(delayed(_on_one_thread)(os.getpid(), function, *each) for each in arguments):
        results.append(result)
        report(len(results), of)
    return results


def _on_one_thread(parent: int, function: Callable, *arguments: object) -> object:
    """Threads would multiply with the processes, gain nothing on thumbnails, and round differently by their number."""
    end_with(parent)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            return function(*arguments)
    finally:
        cv2.setNumThreads(before)


def _read(paths: Sequence[Path], rule: PixelRule) -> tuple[list[str], np.ndarray, np.ndarray]:
    """SHA-256, thumbnail uint8 (SIZE, SIZE) and descriptors of some files."""
    digests, thumbnails = zip(*(_thumbnail(path, rule) for path in paths), strict=True)
    return list(digests), np.stack(thumbnails), np.stack([describe(thumbnail) for thumbnail in thumbnails])


def _thumbnail(path: Path, rule: PixelRule) -> tuple[str, np.ndarray]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); restore the file or remove its row.") from error
    image, problem = read_pixels(data, cv2.IMREAD_GRAYSCALE, rule)
    if image is None:
        raise InputError(f"{path}: is not a readable image ({problem}); replace the file or remove its row.")
    return hashlib.sha256(data).hexdigest(), cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _judged(known: Known, drawn: np.ndarray, chance: np.ndarray, in_place: Compare, pairs: np.ndarray) -> np.ndarray:
    """Similarities of pairs, float64 (m,): of those with a drawn image in place, and beyond chance."""
    scores = known.of(pairs)
    judged = drawn[pairs].any(axis=1)
    found = beyond(in_place(pairs[judged]), chance[pairs[judged]])
    scores[judged] = np.minimum(found, scores[judged])
    return scores


Similarity = Callable[[Prepared, Prepared], float]


def _compare_all(
    how: Similarity, thumbnails: np.ndarray, workers: int, report: Report, pairs: np.ndarray
) -> np.ndarray:
    """Similarities of pairs, float64 (m,). A worker is sent the thumbnails that its pairs need."""
    starts = range(0, len(pairs), PAIRS)
    parts = (np.unique(pairs[start : start + PAIRS], return_inverse=True) for start in starts)
    tasks = ((how, thumbnails[images], places.reshape(-1, 2)) for images, places in parts)
    return np.concatenate([np.zeros(0), *_run(_compare, tasks, len(starts), workers, report)])


def _compare(how: Similarity, thumbnails: np.ndarray, pairs: np.ndarray) -> list[float]:
    prepared = [prepare(thumbnail) for thumbnail in thumbnails]
    return [how(prepared[a], prepared[b]) for a, b in pairs]


def _look_beyond_large_groups(descriptors: np.ndarray, known: Known, threshold: float) -> None:
    """Search again where the copies of one photo may have taken all the places among an image's nearest neighbours.

    One image stands for each large group; with them are searched the images that have a candidate in such a group.
    """
    large = [group for group in known.groups(threshold, np.ones(known.n, bool)) if len(group) > NEIGHBOURS]
    crowded = marked(known.n, large)
    rest = np.flatnonzero(~crowded & marked(known.n, [known.pairs[crowded[known.pairs].any(axis=1)].ravel()]))
    pool = np.union1d(rest, np.array(known.hubs(large, threshold), np.int64))
    known.of(pool[candidate_pairs(descriptors[pool])])


def _as_groups(copy_of: np.ndarray, labels: np.ndarray, pairs: np.ndarray, scores: np.ndarray) -> Groups:
    """From distinct images back to files; where an assignment repeats an index, its last value holds."""
    _, lead, place = np.unique(labels[copy_of], return_index=True, return_inverse=True)
    first = np.unique(copy_of, return_index=True)[1]
    inside = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    repeats = np.flatnonzero(first[copy_of] != np.arange(len(copy_of)))[::-1]
    links = np.concatenate([first[pairs[inside]], np.stack([first[copy_of[repeats]], repeats], axis=1)])
    values = np.concatenate([scores[inside], np.ones(len(repeats))])
    order = np.argsort(values, kind="stable")
    here, there = np.concatenate([links[order], links[order, ::-1]], axis=1).reshape(-1, 2).T
    matched, similarity = np.full(len(copy_of), -1, np.int64), np.full(len(copy_of), np.nan)
    matched[here], similarity[here] = there, np.repeat(values[order], 2)
    return Groups(lead[place].astype(np.int64), matched, similarity)
