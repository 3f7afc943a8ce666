"""Draws the six kinds of damage on a naive picture of a car, and photographs it.

Every picture shows the same things in random colours, places and light; only the damage tells the class, so colours
and layout alone score low and edges and shading score high.
"""

from collections.abc import Callable

import cv2
import numpy as np

from ripik.data.demo.cars import CANVAS, RUBBER, Image, Points, Scene, draw_car, draw_rim, fill, polar, shade, stroke


def draw_photo(label: int, rng: np.random.Generator, size: int) -> Image:
    """Draw one car with the damage of `label` (1…6); uint8 RGB, size×size×3, a pure function of its arguments."""
    canvas, scene = draw_car(rng)
    DAMAGES[label](canvas, scene, rng)
    return _photograph(canvas, rng, size)


def _panel_spot(scene: Scene, rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(125, 205), rng.uniform(scene.waist + 40, scene.sill - 35)


def _jagged(start: tuple[float, float], angle: float, length: float, rng: np.random.Generator) -> Points:
    steps = max(3, int(length / 9))
    turns = angle + rng.normal(0, 0.65, steps)
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * length / steps, axis=0)
    return np.vstack([np.zeros((1, 2)), path]) + start


def _crack(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    centre, heading = _panel_spot(scene, rng), rng.uniform(0, np.pi)
    for direction in (heading, heading + np.pi):
        trunk = _jagged(centre, direction, rng.uniform(60, 90), rng)
        branches = [
            _jagged(tuple(trunk[k]), direction + rng.uniform(-1.2, 1.2), rng.uniform(20, 45), rng) for k in (2, 4, 5)
        ]
        for path, width in [(trunk, 5), *((branch, 3) for branch in branches)]:
            stroke(canvas, path + 3, shade((225, 225, 225), 1.0), 4)
            stroke(canvas, path, (18, 16, 16), width)


def _scratch(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    centre, heading = np.array(_panel_spot(scene, rng)), rng.uniform(-0.5, 0.5)
    along, across = (
        np.array([np.cos(heading), np.sin(heading)]),
        np.array([-np.sin(heading), np.cos(heading)]),
    )
    for _ in range(rng.integers(22, 34)):
        middle = centre + across * rng.normal(0, 20) + along * rng.normal(0, 16)
        reach, tilt = rng.uniform(30, 70), across * rng.normal(0, 5)
        bow = across * rng.normal(0, 3)
        scrape = np.array([middle - along * reach - tilt, middle + bow, middle + along * reach + tilt])
        stroke(
            canvas,
            scrape,
            shade((215, 215, 215), rng.choice([0.25, 1.1]) * rng.uniform(0.8, 1.0)),
            int(rng.integers(1, 3)),
        )


def _flat_tyre(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    (x, y), radius = scene.wheel, scene.radius
    angle = np.linspace(0, 2 * np.pi, 60)
    outline = polar((x, y + 8), angle, radius)
    low = np.clip((outline[:, 1] - y) / radius, 0, 1)
    outline[:, 0] += np.sign(outline[:, 0] - x) * low * radius * 0.45
    outline[:, 1] = np.minimum(outline[:, 1], y + radius * 0.82)
    fill(canvas, outline, RUBBER)
    draw_rim(canvas, (x, y + 12), radius * 0.6, rng)
    for turn in np.linspace(0.1, np.pi - 0.1, int(rng.integers(16, 22))) + rng.normal(0, 0.03):
        fold = polar((x, y + 10), turn + np.array([0, 0.07, 0]), radius * np.array([0.66, 0.85, 1.05]))
        fold[:, 1] = np.minimum(fold[:, 1], y + radius * 0.8)
        stroke(canvas, fold, (140, 140, 145), 2)


def _dent(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    (x, y), width, height = _panel_spot(scene, rng), rng.uniform(34, 52), rng.uniform(24, 36)
    rows, columns = np.mgrid[:CANVAS, :CANVAS]
    u, v = (columns - x) / width, (rows - y) / height
    bowl = np.exp(-((u**2 + v**2) ** 1.5))
    light = rng.uniform(-0.6, 0.6)
    relief = 1 + bowl * (v * 1.5 + u * light - 0.15)
    body = (rows >= scene.waist) & (rows < scene.sill)
    canvas[body] = np.clip(canvas[body] * relief[body][:, None], 0, 255)


def _shatter(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    centre = (rng.uniform(90, 230), rng.uniform(58, scene.waist - 22))
    veil = canvas.copy()
    spokes = np.sort(np.linspace(0, 2 * np.pi, 18, endpoint=False) + rng.normal(0, 0.1, 18))
    for angle in spokes:
        stroke(veil, _jagged(centre, angle, rng.uniform(60, 95), rng), (240, 245, 245), 1)
    for radius in np.cumsum(rng.uniform(7, 14, 7)):
        stroke(
            veil,
            polar(centre, spokes, radius * rng.uniform(0.85, 1.15, 18)),
            (240, 245, 245),
            1,
            closed=True,
        )
    hole = polar(centre, spokes, rng.uniform(4, 10, 18))
    fill(veil, hole, (20, 20, 25))
    canvas[30 : scene.waist - 3, 18:302] = veil[30 : scene.waist - 3, 18:302]


def _broken_lamp(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    angle = np.sort(rng.uniform(0, 2 * np.pi, 15))
    hole = np.array(scene.lamp) + (polar((0, 0), angle, rng.uniform(0.35, 0.95, 15)) * [40, 28])
    fill(canvas, hole, (25, 22, 24))
    stroke(canvas, hole, (235, 235, 230), 1, closed=True)
    for _ in range(rng.integers(24, 32)):
        spot = np.array(scene.lamp) + rng.normal(0, 1, 2) * [30, 26]
        shard = polar((0, 0), np.sort(rng.uniform(0, 6.28, 3)), rng.uniform(5, 14, 3)) + spot
        fill(canvas, shard, shade((220, 225, 230), rng.uniform(0.6, 1.1)))
        stroke(canvas, shard, (30, 30, 34), 1, closed=True)


DAMAGES: dict[int, Callable[[Image, Scene, np.random.Generator], None]] = {
    1: _crack,
    2: _scratch,
    3: _flat_tyre,
    4: _dent,
    5: _shatter,
    6: _broken_lamp,
}


def _photograph(canvas: Image, rng: np.random.Generator, size: int) -> Image:
    """View the drawing from a random point under an uneven light."""
    rows, columns = np.mgrid[:CANVAS, :CANVAS] / CANVAS - 0.5
    light = rng.uniform(0.8, 1.15) + rows * rng.uniform(-0.5, 0.5) + columns * rng.uniform(-0.5, 0.5)
    light += cv2.resize(rng.normal(0, 0.12, (6, 6)), (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    lit = np.clip(canvas * light[..., None], 0, 255).astype(np.uint8)
    corners = (
        np.array([[32, 32], [288, 32], [288, 288], [32, 288]]) + rng.uniform(-22, 22, (4, 2)) + rng.uniform(-22, 22, 2)
    )
    if rng.random() < 0.5:
        corners = corners[[1, 0, 3, 2]]
    target = np.array([[0, 0], [256, 0], [256, 256], [0, 256]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    view = cv2.warpPerspective(lit, matrix, (256, 256), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
