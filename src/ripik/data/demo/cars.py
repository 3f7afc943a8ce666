"""Draws one naive picture of an undamaged car: street, panel, door line, handle, window, wheel and lamp."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = tuple[int, int, int]

CANVAS = 320
RUBBER = (38, 38, 42)


@dataclass(frozen=True)
class Scene:
    """Where the parts of one drawn car are, on a canvas of 320×320, and its paint (RGB)."""

    waist: int
    sill: int
    seam: int
    wheel: tuple[int, int]
    radius: int
    lamp: tuple[int, int]
    paint: Colour


def draw_car(rng: np.random.Generator) -> tuple[Image, Scene]:
    """Draw an undamaged car under a haze, so that damage stands out; uint8 RGB 320×320×3 and where its parts are."""
    scene = _random_scene(rng)
    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    for draw_part in (_street, _body, _window, _wheel, _lamp):
        draw_part(canvas, scene, rng)
    canvas[:] = canvas * 0.5 + np.array(scene.paint) * 0.5
    return canvas, scene


def _random_scene(rng: np.random.Generator) -> Scene:
    waist = int(rng.integers(112, 138))
    sill = int(rng.integers(228, 246))
    left, right = int(rng.integers(70, 100)), int(rng.integers(226, 252))
    return Scene(
        waist=waist,
        sill=sill,
        seam=int(rng.integers(135, 190)),
        wheel=(left, sill + int(rng.integers(-14, 0))),
        radius=int(rng.integers(50, 60)),
        lamp=(right, int(rng.integers(waist + 40, waist + 60))),
        paint=colour(rng, 40, 235),
    )


def colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    """Pick a colour whose channels lie in low…high-1."""
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Darken (factor below 1) or lighten a colour."""
    red, green, blue = (int(min(255, value * factor)) for value in colour)
    return red, green, blue


def fill(canvas: Image, points: Points, colour: Colour) -> None:
    """Fill a polygon given as (x, y) rows."""
    cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], colour, cv2.LINE_AA)


def stroke(canvas: Image, points: Points, colour: Colour, width: int = 1, closed: bool = False) -> None:
    """Stroke a polyline given as (x, y) rows."""
    cv2.polylines(canvas, [np.rint(points).astype(np.int32)], closed, colour, width, cv2.LINE_AA)


def polar(centre: tuple[float, float], angle: NDArray[np.float64], radius: NDArray[np.float64] | float) -> Points:
    """Return the (x, y) points at these angles (radians) and distances around a centre."""
    return np.stack([centre[0] + np.cos(angle) * radius, centre[1] + np.sin(angle) * radius], axis=-1)


def _street(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    canvas[:] = colour(rng, 60, 230)
    for _ in range(rng.integers(4, 9)):
        left, top = int(rng.integers(-40, CANVAS)), int(rng.integers(0, 90))
        cv2.rectangle(canvas, (left, top), (left + int(rng.integers(30, 90)), CANVAS), colour(rng, 50, 230), -1)
    canvas[scene.sill - 10 :] = colour(rng, 70, 180)
    for _ in range(rng.integers(2, 6)):
        spot = int(rng.integers(0, CANVAS)), int(rng.integers(scene.sill, CANVAS))
        cv2.ellipse(canvas, spot, (int(rng.integers(10, 50)), 8), 0, 0, 360, colour(rng, 60, 200), -1, cv2.LINE_AA)


def _body(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    height = scene.sill - scene.waist
    sheen = np.linspace(rng.uniform(1.05, 1.3), rng.uniform(0.6, 0.9), height)[:, None, None]
    canvas[scene.waist : scene.sill] = np.clip(np.array(scene.paint) * sheen, 0, 255)
    dark = shade(scene.paint, 0.45)
    cv2.line(canvas, (scene.seam, scene.waist), (scene.seam + int(rng.integers(-12, 13)), scene.sill), dark, 2, 16)
    side = int(rng.choice([-42, 14]))
    handle = (scene.seam + side, scene.waist + int(rng.integers(12, 22)))
    cv2.rectangle(canvas, handle, (handle[0] + 28, handle[1] + 8), shade(scene.paint, 1.35), -1)
    cv2.rectangle(canvas, handle, (handle[0] + 28, handle[1] + 8), dark, 1)


def _window(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    slant, top = rng.integers(10, 50, 2), int(rng.integers(28, 42))
    frame = np.array([[15 + slant[0], top], [305 - slant[1], top], [305, scene.waist], [15, scene.waist]], float)
    fill(canvas, frame, colour(rng, 70, 200))
    for _ in range(rng.integers(1, 4)):
        left, width = rng.uniform(60, 240), rng.uniform(8, 30)
        gleam = np.array([[left, top], [left + width, top], [left + width - 25, scene.waist], [left - 25, scene.waist]])
        fill(canvas, gleam, colour(rng, 110, 235))
    stroke(canvas, frame, shade(scene.paint, 0.7), 7, closed=True)
    pillar = np.array([[scene.seam - 4, top], [scene.seam, scene.waist]], float)
    stroke(canvas, pillar, shade(scene.paint, 0.6), 8)


def _wheel(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    cv2.circle(canvas, scene.wheel, scene.radius + 9, shade(scene.paint, 0.3), -1, cv2.LINE_AA)
    cv2.circle(canvas, scene.wheel, scene.radius, RUBBER, -1, cv2.LINE_AA)
    draw_rim(canvas, scene.wheel, scene.radius * 0.62, rng)


def draw_rim(canvas: Image, centre: tuple[int, int], radius: float, rng: np.random.Generator) -> None:
    """Draw a wheel rim with five holes."""
    metal = colour(rng, 130, 225)
    cv2.circle(canvas, centre, int(radius), metal, -1, cv2.LINE_AA)
    for angle in np.arange(5) * 2 * np.pi / 5 + rng.uniform(0, 6):
        hole = polar(centre, angle + np.array([-0.35, 0.35, 0.0]), radius * np.array([0.85, 0.85, 0.3]))
        fill(canvas, hole, shade(metal, 0.35))
    cv2.circle(canvas, centre, int(radius), shade(metal, 0.6), 2, cv2.LINE_AA)


def _lamp(canvas: Image, scene: Scene, rng: np.random.Generator) -> None:
    axes = int(rng.integers(38, 46)), int(rng.integers(26, 32))
    glass = colour(rng, 120, 250)
    cv2.ellipse(canvas, scene.lamp, axes, 0, 0, 360, glass, -1, cv2.LINE_AA)
    bulb = scene.lamp[0] + int(rng.integers(-12, 12)), scene.lamp[1]
    cv2.circle(canvas, bulb, 12, shade(glass, 1.2), -1, cv2.LINE_AA)
    cv2.ellipse(canvas, scene.lamp, axes, 0, 0, 360, (90, 90, 95), 3, cv2.LINE_AA)
