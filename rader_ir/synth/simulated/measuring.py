"""Kinds of problems about lengths, chances and roots that need a theorem, and kinds that need none (their texts: problems.toml).

Answers are exact fractions wherever they are rational. The problems without a theorem are of GSM8K's sort: a few sums.
"""

from fractions import Fraction
from math import prod, sqrt

from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.counting import numbers, until
from rader_ir.synth.simulated.kinds import Kind


def _heron(a: int, b: int, c: int) -> float:
    s = (a + b + c) / 2
    return sqrt(s * (s - a) * (s - b) * (s - c))


def _triangle(a: int, b: int, c: int) -> bool:
    return 2 * max(a, b, c) < a + b + c - 1


def _draw_vieta(chance: Chance) -> dict[str, int]:
    roots = [chance.number(-6, -1), chance.number(1, 4), chance.number(5, 9)]
    x, y, z = roots
    return {"b": -sum(roots), "c": x * y + x * z + y * z, "d": -prod(roots)}


def _bayes(p: int, s: int, f: int) -> Fraction:
    return Fraction(p * s, p * s + (100 - p) * f)


def _ruin(i: int, n: int, w: int) -> Fraction:
    ratio = Fraction(100 - w, w)
    return Fraction(i, n) if ratio == 1 else (1 - ratio**i) / (1 - ratio**n)


def _draw_ruin(chance: Chance) -> dict[str, int]:
    i = chance.number(2, 5)
    return {"i": i, "n": i + chance.number(2, 4), "w": chance.choice([20, 25, 40, 60, 75, 80])}


def _draw_change(chance: Chance) -> dict[str, int]:
    values = numbers(a=(2, 9), x=(20, 95), b=(2, 9), y=(20, 95))(chance)
    return values | {"z": values["a"] * values["x"] + values["b"] * values["y"] + chance.number(15, 300)}


def _draw_sharing(chance: Chance) -> dict[str, int]:
    k, each, g = chance.number(3, 12), chance.number(4, 30), chance.number(2, 20)
    return {"n": k * each + g, "g": g, "k": k}


_NEEDING = {
    "pick": Kind(
        numbers(i=(3, 60), b=(4, 30)),
        lambda i, b: i + Fraction(b, 2) - 1,
        (lambda i, b: i + b, lambda i, b: i + Fraction(b, 2), lambda i, b: i + Fraction(b, 2) + 1),
    ),
    "heron": Kind(
        until(numbers(a=(4, 30), b=(4, 30), c=(4, 30)), _triangle),
        _heron,
        (lambda a, b, c: a * b / 2, lambda a, b, c: (a + b + c) / 2, lambda a, b, c: a * b * c / 4),
    ),
    "chords": Kind(
        numbers(a=(2, 30), b=(2, 30), c=(2, 30)),
        lambda a, b, c: Fraction(a * b, c),
        (lambda a, b, c: a + b - c, lambda a, b, c: Fraction(a * c, b), lambda a, b, c: Fraction(b * c, a)),
    ),
    "median": Kind(
        until(numbers(a=(4, 30), b=(4, 30), c=(4, 30)), _triangle),
        lambda a, b, c: sqrt(2 * b * b + 2 * c * c - a * a) / 2,
        (lambda a, b, c: (b + c) / 2, lambda a, b, c: sqrt(b * b + c * c) / 2, lambda a, b, c: a / 2),
    ),
    "vieta": Kind(
        _draw_vieta,
        lambda b, c, d: [-b, -d],
        (lambda b, c, d: [b, d], lambda b, c, d: [-b, d], lambda b, c, d: [-b, c]),
    ),
    "bayes": Kind(
        numbers(p=(1, 30), s=(70, 99), f=(1, 20)),
        _bayes,
        (lambda p, s, f: Fraction(s, 100), lambda p, s, f: Fraction(p * s, 10000), lambda p, s, f: Fraction(s, s + f)),
    ),
    "coupon": Kind(
        numbers(n=(3, 20)),
        lambda n: n * sum(Fraction(1, k) for k in range(1, n + 1)),
        (lambda n: n, lambda n: n * n, lambda n: n * sum(Fraction(1, k) for k in range(2, n + 1))),
    ),
    "ruin": Kind(
        _draw_ruin,
        _ruin,
        (lambda i, n, w: Fraction(i, n), lambda i, n, w: Fraction(w, 100), lambda i, n, w: 1 - _ruin(i, n, w)),
    ),
    "queue": Kind(
        until(numbers(a=(2, 28), s=(4, 30)), lambda a, s: a < s),
        lambda a, s: Fraction(a, s - a),
        (lambda a, s: Fraction(a, s), lambda a, s: Fraction(a * a, s * (s - a)), lambda a, s: Fraction(1, s - a)),
    ),
    "ballot": Kind(
        until(numbers(p=(4, 40), q=(1, 30)), lambda p, q: q < p),
        lambda p, q: Fraction(p - q, p + q),
        (lambda p, q: Fraction(p, p + q), lambda p, q: Fraction(q, p + q), lambda p, q: Fraction(p - q + 1, p + 1)),
    ),
}
_PLAIN = {
    "change": Kind(
        _draw_change,
        lambda a, x, b, y, z: z - a * x - b * y,
        (lambda a, x, b, y, z: z - a * x, lambda a, x, b, y, z: a * x + b * y),
    ),
    "savings": Kind(
        numbers(s=(40, 90), w=(3, 12), n=(3, 15), t=(5, 40)),
        lambda s, w, n, t: s + w * n - t,
        (lambda s, w, n, t: s + w * n, lambda s, w, n, t: s + w + n - t),
    ),
    "journey": Kind(
        numbers(v=(20, 120), h=(2, 6), u=(20, 120), k=(2, 6)),
        lambda v, h, u, k: v * h + u * k,
        (lambda v, h, u, k: (v + u) * (h + k), lambda v, h, u, k: v * h),
    ),
    "pages": Kind(
        numbers(t=(200, 600), p=(8, 24), d=(3, 8)),
        lambda t, p, d: t - p * d,
        (lambda t, p, d: t - p, lambda t, p, d: p * d),
    ),
    "sharing": Kind(
        _draw_sharing,
        lambda n, g, k: (n - g) // k,
        (lambda n, g, k: n // k, lambda n, g, k: n - g),
    ),
    "ages": Kind(
        numbers(c=(3, 12), m=(3, 6), k=(4, 20)),
        lambda c, m, k: c * m + k,
        (lambda c, m, k: c + k, lambda c, m, k: (c + k) * m),
    ),
    "discount": Kind(
        lambda chance: {"p": 20 * chance.number(4, 60), "d": 5 * chance.number(1, 12)},
        lambda p, d: p * (100 - d) // 100,
        (lambda p, d: p - d, lambda p, d: p * d // 100),
    ),
    "fence": Kind(
        numbers(l=(8, 60), w=(5, 40), c=(2, 25)),
        lambda l, w, c: 2 * (l + w) * c,  # noqa: E741
        (lambda l, w, c: (l + w) * c, lambda l, w, c: l * w * c),  # noqa: E741
    ),
}
KINDS = _NEEDING | _PLAIN
