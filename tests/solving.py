"""The simulated solver's problems solved anew: by listing, trying out, walking through or other formulas than the theorems'.

Each function takes the numbers that stand in a question and gives its answer as a number, a truth value or a list.
"""

from collections import Counter, deque
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from math import comb, dist, prod

import numpy as np


def derangement(n):
    if n <= 7:
        return sum(all(at != who for at, who in enumerate(order)) for order in permutations(range(n)))
    before, last = 1, 0  # of 0 and 1 objects
    for k in range(2, n + 1):
        before, last = last, (k - 1) * (before + last)
    return last


def stars_bars(n, k):
    ways = [1] + [0] * n
    for _ in range(k):  # one more receiver, who takes 0, 1, ... of what is left
        ways = [sum(ways[: left + 1]) for left in range(n + 1)]
    return ways[n]


def catalan(n):
    paths = Counter({0: 1})
    for _ in range(2 * n):
        paths = Counter({height: paths[height - 1] + paths[height + 1] for height in range(n + 1)})
    return paths[0]


def stirling(n, k):
    """Labelled boxes without an empty one, by the number of elements placed, over the orders of the boxes."""
    ways = Counter({0: 1})  # elements placed so far, after some boxes
    for _ in range(k):
        after = Counter()
        for placed, count in ways.items():
            for more in range(1, n - placed + 1):
                after[placed + more] += count * comb(n - placed, more)
        ways = after
    return ways[n] // prod(range(1, k + 1))


def necklaces(n, k):
    if k**n <= 5000:
        rings = product(range(k), repeat=n)
        return len({min(ring[turn:] + ring[:turn] for turn in range(n)) for ring in rings})

    def mobius(d):
        primes = [p for p in range(2, d + 1) if d % p == 0 and all(p % q for q in range(2, p))]
        return 0 if any(d % (p * p) == 0 for p in primes) else (-1) ** len(primes)

    def divisors(m):
        return [d for d in range(1, m + 1) if m % d == 0]

    aperiodic = {d: sum(mobius(e) * k ** (d // e) for e in divisors(d)) // d for d in divisors(n)}
    return sum(aperiodic.values())  # each necklace repeats one aperiodic word


def cayley(n):
    """Kirchhoff's determinant of the complete graph."""
    rows = [[Fraction(n - 1 if i == j else -1) for j in range(n - 1)] for i in range(n - 1)]
    result = Fraction(1)
    for i in range(n - 1):
        result *= rows[i][i]
        for j in range(i + 1, n - 1):
            share = rows[j][i] / rows[i][i]
            rows[j] = [a - share * b for a, b in zip(rows[j], rows[i], strict=True)]
    return int(result)


def totient(a, e, m):
    left = 1
    for _ in range(e):
        left = left * a % m
    return left


def crt(m, n, a, b):
    return next(x for x in range(1, m * n + 1) if x % m == a and x % n == b)


def wilson(p, q):
    return prod(range(1, q + 1)) % p


def frobenius(a, b):
    made = {x * a + y * b for x in range(b + 1) for y in range(a + 1)}
    return max(amount for amount in range(a * b) if amount not in made)


def legendre(n, p):
    left, times = prod(range(1, n + 1)), 0
    while left % p == 0:
        left, times = left // p, times + 1
    return times


def josephus(n):
    ring = deque(range(1, n + 1))
    while len(ring) > 1:
        ring.rotate(-1)
        ring.popleft()
    return ring[0]


@cache
def _wins(heaps):
    moves = (
        tuple(sorted((*heaps[:at], left, *heaps[at + 1 :]))) for at, heap in enumerate(heaps) for left in range(heap)
    )
    return any(not _wins(after) for after in moves)


def nim(a, b, c):
    return _wins(tuple(sorted((a, b, c))))


def residue(p, a):
    return any(x * x % p == a for x in range(p))


def pick(i, b):
    """The area of a polygon with these points: a kite of three rows of the grid, the inner points in the middle one."""
    corners = [(0, 0), (1, -1), (i + 1, 0), (1 + b - 4, 1), (1, 1)]
    turned = zip(corners, corners[1:] + corners[:1], strict=True)
    return Fraction(abs(sum(x * v - u * y for (x, y), (u, v) in turned)), 2)


def _corner(a, b, c):
    """Where the corner opposite to a lies, if a runs from (0, 0) to (a, 0), b from the corner to its start and c to its end."""
    x = (a * a + b * b - c * c) / (2 * a)
    return x, (b * b - x * x) ** 0.5


def heron(a, b, c):
    return a * _corner(a, b, c)[1] / 2


def median(a, b, c):
    return dist(_corner(a, b, c), (a / 2, 0))


def chords(a, b, c):
    """The circle through (-a, 0), (b, 0) and (0, -c), and where it meets the upward axis."""
    rows = [[-a, 0, 1], [b, 0, 1], [0, -c, 1]]
    _, e, f = np.linalg.solve(np.array(rows, float), -np.array([a * a, b * b, c * c], float))
    return max(np.roots([1, e, f]))


def vieta(b, c, d):
    roots = np.roots([1, b, c, d])
    return [round(roots.sum().real), round(roots.prod().real)]


def bayes(p, s, f):
    reported = Counter(person < p for person in range(100) for luck in range(100) if luck < (s if person < p else f))
    return Fraction(reported[True], reported.total())


def coupon(n):
    """By inclusion and exclusion over the kinds that are missing."""
    return sum((-1) ** (j + 1) * comb(n, j) * Fraction(n, j) for j in range(1, n + 1))


def ruin(i, n, w):
    up = w / 100
    moves = np.eye(n + 1)
    for at in range(1, n):
        moves[at, at + 1], moves[at, at - 1] = -up, up - 1
    return np.linalg.solve(moves, np.eye(n + 1)[n])[i]


def queue(a, s):
    weights = (a / s) ** np.arange(4000)
    return float(np.arange(4000) @ weights / weights.sum())


def ballot(p, q):
    ahead = {(1, 0): 1}
    for first in range(1, p + 1):
        for second in range(min(first, q + 1)):
            if (first, second) != (1, 0):
                ahead[first, second] = ahead.get((first - 1, second), 0) + ahead.get((first, second - 1), 0)
    return Fraction(ahead[p, q], comb(p + q, p))


def change(a, x, b, y, z):
    return z - sum([x] * a + [y] * b)


def savings(s, w, n, t):
    for _ in range(n):
        s += w
    return s - t


def journey(v, h, u, k):
    return sum([v for _ in range(h)] + [u for _ in range(k)])


def pages(t, p, d):
    return len(range(t)[p * d :])


def sharing(n, g, k):
    dealt = Counter(marble % k for marble in range(n - g))
    assert len(set(dealt.values())) == 1, "the rest is shared equally"
    return dealt[0]


def ages(c, m, k):
    return sum([c] * m) + k


def discount(p, d):
    assert p * d % 100 == 0, "no cents are left over"
    return p - p * d // 100


def fence(l, w, c):  # noqa: E741
    return sum(side * c for side in (l, w, l, w))
