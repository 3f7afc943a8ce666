"""Near copies: which images show one and the same photo, so that folds can keep them together.

From cheap to careful: low-frequency DCT descriptors of small grey thumbnails and of their slight crops name candidate
pairs, over all mirrorings and quarter turns; each pair is registered by an affine warp (enhanced correlation
coefficient, Evangelidis and Psarakis 2008) and scored by the correlation of its locally normalised thumbnails, which
brightness, contrast and noise hardly move and another photo of a similar scene does not reach; groups are the
connected components of the pairs above the threshold, re-checked from inside so that no weak link chains.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ripik.errors import InputError

SIZE = 64  # side of a thumbnail, px
WAVES = 8  # a descriptor holds the WAVES × WAVES slowest waves of the DCT
CORNERS = ((0.0, 0.0, 0.9), (0.0, 0.1, 0.9), (0.1, 0.0, 0.9), (0.1, 0.1, 0.9))
CROPS = ((0.0, 0.0, 1.0), (0.05, 0.05, 0.9), (0.1, 0.1, 0.8), *CORNERS)  # left, top and side, as shares
TURNS = tuple(product((False, True), (1, -1), (1, -1)))  # transposed?, then the signs of x and y
NEIGHBOURS = 10  # candidates an image
CANDIDATE_FLOOR = 0.75  # descriptors less alike than this are not looked at
BLOCK_CELLS = 2**22  # descriptor products held at a time, for each crop: bounds the memory
TASK = 200  # pairs handed to a worker at a time
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)  # of registration
MAX_DISTORTION = 0.3  # of a warp, beyond its turn: a crop of 10 % a side gives 0.25
MIN_OVERLAP = 0.5  # share of the thumbnail that both images must show
LARGE_GROUP = 100  # images in a group that are still compared all with all
DETECTOR = 1  # to be raised when the groups it finds may change
SLACK = 0.1  # how far the mean similarity inside a group may lie below the threshold

Progress = Callable[[int], None]  # images done so far
Report = Callable[[int, int], None]  # (done, of)


@dataclass(frozen=True)
class Groups:
    """Which of n images are one photo.

    `group`: int64 (n,), the smallest index in each image's group. `matched`: int64 (n,), its most similar partner, or
    -1. `similarity`: float64 (n,) in [-1, 1], to that partner; 1.0 for byte-identical files, NaN for none.
    """

    group: np.ndarray
    matched: np.ndarray
    similarity: np.ndarray


def near_copy_groups(
    paths: Sequence[Path], *, threshold: float = 0.75, workers: int = 1, on_progress: Progress | None = None
) -> Groups:
    """Group the images that are near copies of one photo.

    Found are byte-identical files, and one photo after noise, blur, brightness, contrast, saturation, JPEG, mirroring,
    quarter turns and crops of up to 10 % a side. Images without structure (one flat colour) group only when their bytes
    are equal. The result depends on the bytes of the files alone; another order only renames it.

    `threshold`: similarity from which two images are one photo. `workers`: processes. `on_progress` is given the number
    of images done so far (reading is half, comparing the rest). InputError names a file that is missing or no image.
    """

    def report(start: float, done: int, of: int) -> None:
        if on_progress is not None:
            on_progress(round((start + done / of / 2) * len(paths)))

    if not paths:
        return Groups(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    files = _run(_read, [(path,) for path in paths], workers, partial(report, 0.0))
    digests, thumbnails, descriptors = map(np.array, zip(*files, strict=True))
    _, first, copy_of = np.unique(digests, return_index=True, return_inverse=True)  # in an order of their own
    compare = partial(_compare_all, (thumbnails[first], descriptors[first]), workers)
    pairs = _candidates(descriptors[first])
    scores = compare(partial(report, 0.5), pairs)
    settled = _settle(len(first), pairs, scores, threshold, partial(compare, lambda done, of: None))
    report(0.5, 1, 1)
    return _as_groups(copy_of, *settled)


def _run(function: Callable, arguments: Sequence[tuple], workers: int, report: Report) -> list:
    """Results in the order of the arguments, from worker processes."""
    results = []
    for result in Parallel(workers, return_as="generator")(delayed(_on_one_thread)(function, *a) for a in arguments):
        results.append(result)
        report(len(results), len(arguments))
    return results


def _on_one_thread(function: Callable, *arguments: object) -> object:
    """OpenCV's threads would multiply with the processes, and gain nothing on thumbnails."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return function(*arguments)
    finally:
        cv2.setNumThreads(before)


def _read(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """SHA-256, thumbnail uint8 (SIZE, SIZE) and descriptors float32 (crops, WAVES²) of a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); restore the file or remove its row.") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if image is None:
        raise InputError(f"{path}: is not a readable image; replace the file or remove its row.")
    thumbnail = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return hashlib.sha256(data).hexdigest(), thumbnail, _describe(thumbnail)


def _describe(thumbnail: np.ndarray) -> np.ndarray:
    """One unit vector a crop: its slow waves but the mean, the faster ones weighted up as photos have less of them."""
    weight = np.sqrt(np.hypot(*np.indices((WAVES, WAVES))))
    descriptors = np.empty((len(CROPS), WAVES**2), np.float32)
    for row, (x, y, side) in zip(descriptors, CROPS, strict=True):
        left, top, right, bottom = (round(edge * SIZE) for edge in (x, y, x + side, y + side))
        crop = cv2.resize(thumbnail[top:bottom, left:right], (32, 32), interpolation=cv2.INTER_AREA)
        waves = cv2.dct(crop.astype(np.float32))[:WAVES, :WAVES] * weight
        row[:] = waves.ravel() / max(float(np.linalg.norm(waves)), 1e-6)
    return descriptors


def _turned(descriptors: np.ndarray) -> np.ndarray:
    """What descriptors (…, WAVES²) become when their image is turned: (turns, …, WAVES²)."""
    waves = descriptors.reshape(*descriptors.shape[:-1], WAVES, WAVES)
    wave = np.arange(WAVES)
    views = [(waves.swapaxes(-1, -2) if flip else waves) * x**wave * y ** wave[:, None] for flip, x, y in TURNS]
    return np.stack(views).astype(np.float32).reshape(len(TURNS), *descriptors.shape)


def _candidates(descriptors: np.ndarray) -> np.ndarray:
    """Pairs int64 (m, 2), ascending in each row, of images and their nearest ones over all turns and crops of both."""
    n = len(descriptors)
    nearest, block = min(NEIGHBOURS, n - 1), max(16, BLOCK_CELLS // n)
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, n if nearest else 0, block):
        alike = _best_alike(descriptors[start : start + block], descriptors)
        np.fill_diagonal(alike[:, start:], -1.0)
        columns = np.argpartition(-alike, nearest - 1, axis=1)[:, :nearest]
        row, rank = np.nonzero(np.take_along_axis(alike, columns, axis=1) >= CANDIDATE_FLOOR)
        found.append(np.sort(np.stack([start + row, columns[row, rank]], axis=1), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _best_alike(some: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Largest product of descriptors over turns and crops, float32 (some, every)."""
    best = np.full((len(some), len(every)), -1.0, np.float32)
    for turned, crop in product(_turned(some), range(len(CROPS))):
        alike = turned.reshape(-1, WAVES**2) @ every[:, crop].T
        np.maximum(best, alike.reshape(len(some), len(CROPS), -1).max(axis=1), out=best)
    return best


def _compare_all(images: tuple, workers: int, report: Report, pairs: np.ndarray) -> np.ndarray:
    tasks = [(*images, pairs[start : start + TASK]) for start in range(0, len(pairs), TASK)]
    return np.concatenate([np.zeros(0), *_run(_compare, tasks, workers, report)])


def _compare(thumbnails: np.ndarray, waves: np.ndarray, pairs: np.ndarray) -> list[float]:
    """Similarity of each pair: the better of both directions, as registration may lose its way in one."""
    return [max(_similarity(*thumbnails[p], *waves[p]) for p in (pair, pair[::-1])) for pair in pairs]


def _similarity(a: np.ndarray, b: np.ndarray, waves_a: np.ndarray, waves_b: np.ndarray) -> float:
    """Correlation of two registered, locally normalised thumbnails; -1.0 if no plausible warp registers them."""
    turn, guess = _first_guess(waves_a, waves_b)
    smooth_a, smooth_b = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) for image in (a, b))
    try:
        _, warp = cv2.findTransformECC(smooth_a, smooth_b, guess, cv2.MOTION_AFFINE, STOP)
    except cv2.error:  # how OpenCV says that the two are uncorrelated
        return -1.0
    pull_back = partial(cv2.warpAffine, M=warp, dsize=a.shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    shared = cv2.erode(pull_back(np.ones_like(a)), np.ones((5, 5), np.uint8), borderValue=0) > 0
    if np.abs(turn.T @ warp[:, :2] - np.eye(2)).max() > MAX_DISTORTION or shared.mean() < MIN_OVERLAP:
        return -1.0
    left, right = _locally_normalised(smooth_a), pull_back(_locally_normalised(smooth_b))
    return float(np.nan_to_num(np.corrcoef(left[shared], right[shared])[0, 1], nan=-1.0))


def _first_guess(waves_a: np.ndarray, waves_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The turn (2, 2) and the warp (2, 3) from a's pixels to b's that the best matching descriptors imply."""
    alike = _turned(waves_a) @ waves_b.T
    which, *crops = np.unravel_index(alike.argmax(), alike.shape)
    transposed, x, y = TURNS[which]
    turn = np.diag([x, y]) @ (np.eye(2)[::-1] if transposed else np.eye(2))
    (*from_a, side_a), (*from_b, side_b) = (CROPS[crop] for crop in crops)
    centre_a, centre_b = ((np.array(c) + s / 2) * SIZE - 0.5 for c, s in ((from_a, side_a), (from_b, side_b)))
    linear = turn * side_b / side_a
    return turn, np.column_stack([linear, centre_b - linear @ centre_a]).astype(np.float32)


def _locally_normalised(image: np.ndarray) -> np.ndarray:
    """Local mean 0 and local deviation about 1; the floor keeps the noise of flat areas small."""
    detail = image - cv2.GaussianBlur(image, (0, 0), 4.0)
    return detail / np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 4.0) + 0.16 * detail.var() + 1.0)


def _settle(
    n: int, pairs: np.ndarray, scores: np.ndarray, threshold: float, compare: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group labels (n,), with all pairs and scores known by then.

    A group is a component of the links, all its pairs compared, and cut by average linkage where the mean says that
    a weak link chained two photos. Components beyond LARGE_GROUP first lose their weaker links.
    """
    labels = _components(n, pairs[scores >= threshold])
    large = (np.bincount(labels) > LARGE_GROUP)[labels[pairs[:, 0]]]
    labels = _components(n, pairs[scores >= np.where(large, (1 + threshold) / 2, threshold)])
    by_label = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    groups = [group for group in by_label if 2 < len(group) <= LARGE_GROUP]
    inside = [np.array(list(combinations(group, 2))) @ [n, 1] for group in groups]
    known = pairs @ [n, 1]
    missing = np.setdiff1d(np.concatenate([[], *inside]).astype(np.int64), known)
    added = np.stack(np.divmod(missing, n), axis=1)
    pairs, scores = np.concatenate([pairs, added]), np.concatenate([scores, compare(added)])
    order = np.argsort(known := np.concatenate([known, missing]))
    for group, keys in zip(groups, inside, strict=True):
        tree = linkage(1.0 - scores[order[np.searchsorted(known, keys, sorter=order)]], "average")
        parts = fcluster(tree, 1.0 - threshold + SLACK, "distance")
        labels[group] = [n + group[parts == part][0] for part in parts]
    return labels, pairs, scores


def _components(n: int, links: np.ndarray) -> np.ndarray:
    return connected_components(coo_array((np.ones(len(links)), tuple(links.T)), shape=(n, n)), directed=False)[1]


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
