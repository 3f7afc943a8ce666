"""Careful comparison of two thumbnails: can a turn, a mirroring and a crop lay one over the other, and do they agree?

From coarse to fine. All eight turns and a grid of crops are tried at once on locally normalised images of 16 × 16: a
crop only moves the four edges, so it acts on rows and columns apart, and every crop of an image is one matrix product.
Gauss-Newton steps (Lucas and Kanade 1981, on the unclipped pixels, with a gain and an offset for brightness and
contrast) then refine the edges. There is no rotation and no shear, and no edge moves further than two crops can move
it: freedom that copies do not use would only help wrong pairs.

The similarity is the correlation of the locally normalised images, after the fitted change of tone and its clipping
have been done to both. It is lowered where there is little to compare: by a prior of some detail that does not agree,
and by the standard error of a correlation of two autocorrelated maps, whose effective number of samples is far below
their number of pixels (Bartlett 1935; Clifford, Richardson and Hémon 1989). Two white pictures with one line each
prove little.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import cv2
import numpy as np

SIZE = 64  # side of a thumbnail, px
TURNS = tuple(product((False, True), (1, -1), (1, -1)))  # transposed?, then the signs of x and y
COARSE = 16  # side of the images of the coarse search, px
MOVES = (*product((-0.1, 0.0, 0.1), repeat=2), *product((-0.05, 0.05), repeat=2))  # tried for two opposite edges
COARSE_FLOOR = 0.5  # images that correlate less in the coarse search are not registered
SECOND_TURN = 0.1  # a turn this much worse in the coarse search is tried too where the best one disappoints
DOUBTFUL, SURE = 0.2, 0.7  # between these similarities another turn, direction or smoothness is tried too
SOFTER = 1.5  # deviation of the Gaussian by which noisy images are smoothed once more, px
STEPS = ((32, 4), (SIZE, 5))  # side of the images and Gauss-Newton steps, level by level
REACH = 0.17  # share of the side by which an edge may move: opposite crops of 10 % a side make it 0.125
DARKEST, BRIGHTEST = 6.0, 249.0  # tones beyond them count as clipped
OUTSIDE = -1e4  # the tone beyond an image's edge
DISAGREEING = 0.02  # prior: mean square of locally normalised detail that does not agree
ERRORS = 1.5  # standard errors by which a correlation is lowered

Edges = np.ndarray  # moves of the left, right, top and bottom edge as shares of the side, to the right and downwards


@dataclass(frozen=True)
class Prepared:
    """What comparing needs of an image, float32 (SIZE, SIZE): `smooth` in grey levels, `detail` locally normalised."""

    smooth: np.ndarray
    detail: np.ndarray


def prepare(thumbnail: np.ndarray) -> Prepared:
    """Make a grey thumbnail, uint8 (SIZE, SIZE), ready for `similarity`."""
    image = thumbnail.astype(np.float32)
    return Prepared(cv2.GaussianBlur(image, (0, 0), 1.0), locally_normalised(image, 8.0, 16.0))


def locally_normalised(image: np.ndarray, sigma: float, floor: float) -> np.ndarray:
    """Subtract the local mean, divide by the local deviation; variances below `floor` stay small, as noise should."""
    detail = image - cv2.GaussianBlur(image, (0, 0), sigma)
    return detail / np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), sigma) + floor)


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight mirrorings and quarter turns of a square image."""
    transposed, x, y = TURNS[turn]
    return np.ascontiguousarray((image.T if transposed else image)[::y, ::x])


def similarity(a: Prepared, b: Prepared) -> float:
    """How surely two images show one photo, in [0, 1]; 0.0 if no turn and crop lays one over the other.

    Registration may lose its way in one direction, so a doubtful pair is compared in both.
    """
    best = _one_way(a, b)
    return max(best, _one_way(b, a)) if DOUBTFUL <= best < SURE else best


def _one_way(a: Prepared, b: Prepared) -> float:
    fits = coarse_fits(a.detail, b.detail)
    best, least = 0.0, max(COARSE_FLOOR, fits[0][0] - SECOND_TURN)
    for score, turn, guess in fits[:2]:
        if score >= least and best < SURE:
            smooth = turned(a.smooth, turn)
            edges = refine(smooth, b.smooth, guess)
            best = max(best, agreement(smooth, b.smooth, edges))
            if DOUBTFUL <= best < SURE:
                smooth, other = softer(smooth, b.smooth)
                best = max(best, agreement(smooth, other, edges))
    return best


def softer(*images: np.ndarray) -> list[np.ndarray]:
    """Noisy images, smoothed once more."""
    return [cv2.GaussianBlur(image, (0, 0), SOFTER) for image in images]


def coarse_fits(a: np.ndarray, b: np.ndarray) -> list[tuple[float, int, tuple[float, ...]]]:
    """Best crop for each turn of a: (correlation, turn, moves of a's edges in b), best first.

    a, b: locally normalised, float32 (SIZE, SIZE).
    """
    means, masks = _crops()
    crops = (means @ b @ means.T).reshape(len(MOVES), COARSE, len(MOVES), COARSE).swapaxes(1, 2).reshape(masks.shape)
    small = cv2.resize(a, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    turns = np.stack([turned(small, turn).ravel() for turn in range(len(TURNS))], axis=1)
    count, sum_a, sum_b = masks.sum(axis=1, keepdims=True), masks @ turns, crops.sum(axis=1, keepdims=True)
    spread_a = masks @ turns**2 - sum_a**2 / count
    spread_b = np.einsum("ij,ij->i", crops, crops)[:, None] - sum_b**2 / count
    scores = (crops @ turns - sum_a * sum_b / count) / np.sqrt(np.maximum(spread_a * spread_b, 1e-3))
    best = scores.argmax(axis=0)
    guesses = [(*MOVES[crop % len(MOVES)], *MOVES[crop // len(MOVES)]) for crop in best]
    return sorted(zip(scores.max(axis=0).tolist(), range(len(TURNS)), guesses, strict=True), reverse=True)


@cache
def _crops() -> tuple[np.ndarray, np.ndarray]:
    """Matrix (moves × COARSE, SIZE) of means over the cells of moved rows; masks (crops, COARSE²) of cells inside."""
    low, high = np.array(MOVES).T[..., None]
    borders = (low + (1 + high - low) * np.linspace(0, 1, COARSE + 1)) * SIZE
    start, stop, pixel = borders[:, :-1, None], borders[:, 1:, None], np.arange(SIZE)
    overlap = np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0, None)
    inside = overlap.sum(axis=2) > 0.75 * (stop - start)[..., 0]
    means = overlap / np.maximum(overlap.sum(axis=2, keepdims=True), 1e-6) * inside[..., None]
    masks = (inside[:, None, :, None] & inside[None, :, None, :]).reshape(len(MOVES) ** 2, COARSE**2)
    return means.reshape(-1, SIZE).astype(np.float32), masks.astype(np.float32)


def refine(a: np.ndarray, b: np.ndarray, guess: tuple[float, ...]) -> Edges:
    """Where a's edges lie in b, float64 (4,): the guess improved, as long as the steps stay within REACH.

    a, b: smooth and grey, float32 (SIZE, SIZE).
    """
    edges = np.array(guess)
    for side, steps in STEPS:
        small_a, small_b = (cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in (a, b))
        columns, clear = _effects(small_a), _unclipped(small_a).ravel()
        for _ in range(steps):
            moved = _step(columns, clear, pulled(small_b, edges).ravel(), edges)
            if moved is None or np.abs(moved).max() >= REACH:
                break
            edges = moved
    return edges


def _effects(image: np.ndarray) -> np.ndarray:
    """What moves of the left, right, top and bottom edge, a gain and an offset do to an image: (6, pixels)."""
    side = len(image)
    x, y = (cv2.Sobel(image, cv2.CV_32F, *axis, ksize=3, scale=side / 8) for axis in ((1, 0), (0, 1)))
    along = (np.arange(side, dtype=np.float32) + 0.5) / side
    down = along[:, None]
    return np.stack([x * (1 - along), x * along, y * (1 - down), y * down, image, np.ones_like(image)]).reshape(6, -1)


def _unclipped(image: np.ndarray) -> np.ndarray:
    return (image > DARKEST) & (image < BRIGHTEST)


def _step(effects: np.ndarray, clear: np.ndarray, view: np.ndarray, edges: Edges) -> Edges | None:
    """Gauss-Newton step on the pixels that both show, the unclipped ones if they are enough; None if a gain is lost."""
    shown = view > OUTSIDE / 2
    clear = clear & shown & _unclipped(view)
    used = effects * (clear if clear.sum() > shown.sum() / 4 else shown)
    normal = (used @ effects.T).astype(np.float64)
    normal.flat[::7] += normal.diagonal() * 1e-3 + 1e-3
    *change, gain, _ = np.linalg.solve(normal, used @ np.where(shown, view, 0))
    if gain <= 1e-3:
        return None
    (start, end), (low, high) = (np.reshape(pair, (2, 2)).T for pair in (edges, np.array(change) / gain))
    length, stretch = 1 + end - start, np.maximum(1 + high - low, 0.1)
    return np.column_stack([start - low / stretch * length, start + (1 - low) / stretch * length - 1]).ravel()


def pulled(image: np.ndarray, edges: Edges, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
    """What a frame with moved edges shows of a square image; beyond the image OUTSIDE, or as `border` says."""
    side, scale = len(image), 1 + edges[1::2] - edges[::2]
    shift = (edges[::2] + scale / (2 * side)) * side - 0.5
    warp = np.column_stack([np.diag(scale), shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, warp, (side, side), flags=flags, borderMode=border, borderValue=OUTSIDE)


def agreement(a: np.ndarray, b: np.ndarray, edges: Edges) -> float:
    """Correlation of what both images show, lowered where there is little to compare: in [0, 1]."""
    left, right, shown = laid_over(a, b, edges, 3.0, 4.0)
    error = ERRORS / np.sqrt(max(effective_samples(left, right), 0.3))
    found = correlation(left, right, shown, DISAGREEING)
    return max(0.0, float(np.tanh(np.arctanh(min(found, 0.999)) - error)))


def laid_over(
    a: np.ndarray, b: np.ndarray, edges: Edges, sigma: float, floor: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Both images locally normalised, of mean 0 where both show something, else 0; how many pixels that are."""
    inside = (pulled(b, edges) > OUTSIDE / 2).astype(np.uint8)
    shown = cv2.erode(inside, np.ones((3, 3), np.uint8), borderValue=0) > 0
    tones = _same_tone(a, pulled(b, edges, cv2.BORDER_REPLICATE), shown)
    detail = (locally_normalised(image, sigma, floor) for image in tones)
    left, right = (np.where(shown, image - image[shown].mean(), 0.0) for image in detail)
    return left, right, int(shown.sum())


def correlation(left: np.ndarray, right: np.ndarray, shown: int, disagreeing: float) -> float:
    """Correlation of two maps of mean 0 and `shown` pixels, with a prior of mean square detail that does not agree."""
    prior = np.float64(disagreeing * shown)  # the sums are rounded as little as can be
    return float((left * right).sum() / np.sqrt(((left**2).sum() + prior) * ((right**2).sum() + prior)))


def _same_tone(a: np.ndarray, b: np.ndarray, shown: np.ndarray) -> list[np.ndarray]:
    """Both images with a's tones changed to b's, and clipped where either is; noise is not amplified."""
    clear = shown & _unclipped(a) & _unclipped(b)
    used = clear if clear.sum() > SIZE else shown
    gain = float(b[used].std() / max(a[used].std(), 1e-3))
    offset = float(b[used].mean() - gain * a[used].mean())
    low, high = max(0.0, offset), min(255.0, 255 * gain + offset)
    return [np.clip(image, low, high) / max(gain, 1.0) for image in (gain * a + offset, b)]


def effective_samples(a: np.ndarray, b: np.ndarray) -> float:
    """How many independent samples the correlation of two maps of mean 0 rests on.

    Bartlett's number, with the autocorrelations taken from the power spectra, times the share of the map that carries
    the product: a single line in an empty map is not the map's area.
    """
    product_ = np.abs(a * b)
    share = product_.sum() ** 2 / ((product_**2).sum() + 1e-9) / a.size
    power_a, power_b = (np.abs(np.fft.fft2(image)) ** 2 for image in (a, b))
    return float(share * power_a.sum() * power_b.sum() / ((power_a * power_b).sum() + 1e-9))
