"""The process that compares formulas by math-verify (Apache-2.0), one pair per line of its input, a line of JSON for each.

It stands apart because algebra can hang, swallow the memory or call signals, which threads may not: whoever started it may
end it at any time. math-verify reads a formula and says whether two are equal; numbers that it can only call unequal to the
last digit are compared here by their values, within the tolerance where one of them is rounded.
"""

import json
import logging
import os
import signal
import sys
from contextlib import suppress

import sympy
from math_verify import LatexExtractionConfig, parse, verify

MEMORY = 4 << 30  # bytes of address space; 9^(9^9) ends with an error here, not with a dead machine
_DIGITS, _EXACT = 30, sympy.Float("1e-20")
_LARGEST = sympy.Float("1e1000")  # numbers up to here are compared to the last digit


def compare(a: str, b: str, tolerance: float) -> bool | None:
    r"""Whether two formulas in LaTeX are equal; None where one of them cannot be read.

    >>> compare(r"\frac{17}{3}", "5.667", 1e-3), compare("x^2-1", "(x-1)(x+1)", 1e-3), compare("", "x", 1e-3)
    (True, True, None)
    """
    first, second = _parsed(a), _parsed(b)
    if first is None or second is None:
        return None
    x, y = _value(first), _value(second)
    if x is not None and y is not None:
        rounded = first.has(sympy.Float) or second.has(sympy.Float)
        if not rounded and max(abs(x), abs(y)) < _LARGEST:
            exact = first.doit(), second.doit()
            if all(isinstance(number, sympy.Rational) for number in exact):
                return exact[0] == exact[1]
        return bool(abs(x - y) <= max(abs(x), abs(y)) * (tolerance if rounded else _EXACT))
    return _same(first, second) or _same(second, first)


def _parsed(text: str):
    read = parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
    return read[0] if read else None


def _value(formula):
    """The number that a formula without variables is, i being the imaginary unit; None for all else."""
    if not isinstance(formula, sympy.Expr):
        return None
    number = formula.subs({sign: sympy.I for sign in formula.free_symbols if sign.name == "i"})
    number = number.evalf(_DIGITS) if not number.free_symbols else None
    return number if number is not None and number.is_number and number.is_finite else None


def _same(gold, target) -> bool:
    return verify(gold, target, float_rounding=12, timeout_seconds=None, allow_set_relation_comp=True)


def answer(line: str) -> dict:
    """The reply to one line of input: {"equal": true, false or null}; null too where the reading or comparing fails."""
    question = json.loads(line)
    with suppress(Exception):  # algebra fails in more ways than can be listed; what fails is no judgement
        return {"equal": compare(question["a"], question["b"], question["tolerance"])}
    return {"equal": None}


def _limit(seconds: float) -> None:
    """Ends this process when its owner is gone and cannot: by processor time for one question, and by memory."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + 2 * seconds) + 1, hard))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main(seconds: float) -> None:
    """Answers lines until the input ends; `seconds` bounds the processor time of each. Prints a first line when ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who ends this process in good order
    logging.disable()
    replies, sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8"), sys.stderr
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        _limit(seconds)
        print(json.dumps(answer(line)), file=replies, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
