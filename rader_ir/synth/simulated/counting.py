"""Kinds of problems about counting, integers and games that need a theorem (their texts: data/simulated/problems.toml).

The theorems' own formulas give the answers; tests compute them again by listing, walking through or trying out.
"""

from itertools import count
from math import comb, factorial, gcd

from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.kinds import Kind

PRIMES = [p for p in range(2, 100) if all(p % d for d in range(2, p))]


def numbers(**ranges: tuple[int, int]):
    """A draw of independent integers, each from its range."""
    return lambda chance: {name: chance.number(*bounds) for name, bounds in ranges.items()}


def until(draw, fits):
    """A draw that is repeated until its numbers fit."""

    def drawn(chance: Chance) -> dict[str, int]:
        return next(values for values in (draw(chance) for _ in count()) if fits(**values))

    return drawn


def _derangements(n: int) -> int:
    return sum((-1) ** k * (factorial(n) // factorial(k)) for k in range(n + 1))


def _blocks(n: int, k: int) -> int:
    return sum((-1) ** (k - j) * comb(k, j) * j**n for j in range(k + 1)) // factorial(k)


def _necklaces(n: int, k: int) -> int:
    return sum(k ** gcd(turn, n) for turn in range(n)) // n


def _flipped_too(n: int, k: int) -> int:
    """Bracelets: necklaces that may also be turned over, which the problem rules out."""
    even = (k + 1) * k ** (n // 2) // 2 if n % 2 == 0 else k ** ((n + 1) // 2)
    return (_necklaces(n, k) + even) // 2


def _crt(m: int, n: int, a: int, b: int) -> int:
    return (a * n * pow(n, -1, m) + b * m * pow(m, -1, n)) % (m * n)


def _wilson(p: int, q: int) -> int:
    return {p - 1: p - 1, p - 2: 1, p - 3: (p - 1) // 2}[q]


def _draw_wilson(chance: Chance) -> dict[str, int]:
    p = chance.choice([p for p in PRIMES if p > 5])
    return {"p": p, "q": p - chance.number(1, 3)}


def _legendre(n: int, p: int) -> int:
    return sum(n // p**i for i in range(1, n.bit_length() + 1))


def _draw_legendre(chance: Chance) -> dict[str, int]:
    return {"n": chance.number(50, 900), "p": chance.choice([2, 3, 5, 7])}


def _draw_nim(chance: Chance) -> dict[str, int]:
    a, b = chance.number(2, 13), chance.number(2, 13)
    balanced = a ^ b if chance.happens(0.5) else 0
    return {"a": a, "b": b, "c": balanced if balanced > 1 else chance.number(2, 13)}


def _draw_residue(chance: Chance) -> dict[str, int]:
    p = chance.choice([p for p in PRIMES if p > 6])
    return {"p": p, "a": chance.number(2, p - 1)}


_draw_totient = until(
    numbers(a=(2, 12), e=(1000, 99999), m=(15, 200)), lambda a, e, m: gcd(a, m) == 1 and m not in PRIMES
)
_draw_crt = until(
    numbers(m=(3, 25), n=(3, 25), a=(1, 24), b=(1, 24)),
    lambda m, n, a, b: gcd(m, n) == 1 and a < m and b < n and a != b,
)
_draw_frobenius = until(numbers(a=(3, 20), b=(3, 20)), lambda a, b: gcd(a, b) == 1)

KINDS = {
    "derangement": Kind(
        numbers(n=(4, 18)),
        _derangements,
        (lambda n: factorial(n), lambda n: factorial(n - 1), lambda n: factorial(n) - 1),
    ),
    "stars_bars": Kind(
        numbers(n=(5, 25), k=(3, 6)),
        lambda n, k: comb(n + k - 1, k - 1),
        (lambda n, k: comb(n - 1, k - 1), lambda n, k: k**n, lambda n, k: comb(n, k)),
    ),
    "catalan": Kind(
        numbers(n=(3, 24)),
        lambda n: comb(2 * n, n) // (n + 1),
        (lambda n: comb(2 * n, n), lambda n: 2**n, lambda n: factorial(n)),
    ),
    "stirling": Kind(
        numbers(n=(5, 14), k=(2, 4)),
        _blocks,
        (lambda n, k: k**n, lambda n, k: comb(n, k), lambda n, k: factorial(k) * _blocks(n, k)),
    ),
    "necklaces": Kind(
        numbers(n=(3, 14), k=(2, 6)), _necklaces, (lambda n, k: k**n, lambda n, k: k**n // n, _flipped_too)
    ),
    "cayley": Kind(
        numbers(n=(4, 24)),
        lambda n: n ** (n - 2),
        (lambda n: factorial(n), lambda n: 2 ** (n * (n - 1) // 2), lambda n: n ** (n - 1)),
    ),
    "totient": Kind(
        _draw_totient,
        lambda a, e, m: pow(a, e, m),
        (lambda a, e, m: pow(a, e % m, m), lambda a, e, m: a * e % m, lambda a, e, m: pow(a, e % (m - 1), m)),
    ),
    "crt": Kind(
        _draw_crt,
        _crt,
        (lambda m, n, a, b: a * n + b * m, lambda m, n, a, b: a + b, lambda m, n, a, b: m * n - a - b),
    ),
    "wilson": Kind(_draw_wilson, _wilson, (lambda p, q: 0, lambda p, q: q, lambda p, q: p - 1)),
    "frobenius": Kind(
        _draw_frobenius,
        lambda a, b: a * b - a - b,
        (lambda a, b: a * b, lambda a, b: a * b - 1, lambda a, b: (a - 1) * (b - 1) // 2),
    ),
    "legendre": Kind(
        _draw_legendre,
        _legendre,
        (lambda n, p: n // p, lambda n, p: n // p + n // p**2, lambda n, p: n // (p - 1 or 2)),
    ),
    "josephus": Kind(
        numbers(n=(5, 200)),
        lambda n: 2 * (n - 2 ** (n.bit_length() - 1)) + 1,
        (lambda n: n, lambda n: (n + 1) // 2, lambda n: 2 ** (n.bit_length() - 1)),
    ),
    "nim": Kind(_draw_nim, lambda a, b, c: a ^ b ^ c != 0),
    "residue": Kind(_draw_residue, lambda p, a: pow(a, (p - 1) // 2, p) == 1),
}
