"""What every transformer of this package shares: it is its constructor's arguments.

`pt.Experiment(plan="tree")` merges equal prefixes of pipelines and names systems by `str`, and `fuse_rank_cutoff` rebuilds a
transformer from its arguments; so equality, hash and repr all come from `pt.inspect.transformer_attributes`.
"""

import reprlib
from inspect import Parameter, signature
from pathlib import Path

import pyterrier as pt

DOCS = "https://pypi.org/project/rader-ir/"
_SHORT = reprlib.Repr()
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxset = _SHORT.maxfrozenset = 2
_SHORT.maxstring = _SHORT.maxother = 60


class Configured:
    """Equality, hash and repr from the constructor's arguments, for `class X(Configured, pt.Transformer)`.

    Each argument must be stored under its own name. `repr` rebuilds the object, as long as a ready model given as
    checkpoint has such a repr itself; `str` shortens long arguments, for tables and messages.
    """

    def _store(self, given: dict) -> None:
        """Set every argument of the constructor, whose `locals()` are given."""
        for name in signature(type(self)).parameters:
            setattr(self, name, given[name])

    def __eq__(self, other):
        return _arguments(self) == _arguments(other) if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash((type(self), *(_hashed(value) for value in _arguments(self).values())))

    def __repr__(self):
        return _written(self, repr)

    def __str__(self):
        return _written(self, _SHORT.repr)


class KeepsRows:
    """For transformers that change no row, score or rank: a cutoff after them may as well come before."""

    def fuse_rank_cutoff(self, k: int) -> pt.Transformer:
        return pt.RankCutoff(k) >> self


class CutsRanks:
    """For transformers with `num_results`: a following `% k` becomes part of them."""

    def fuse_rank_cutoff(self, k: int) -> pt.Transformer:
        if self.num_results is not None and self.num_results <= k:
            return self
        return pt.inspect.transformer_apply_attributes(self, num_results=k)


class SharesModel:
    """For transformers that have their live model by `model()`; equal ones share it, and what it counts."""

    @property
    def truncated(self) -> int | None:
        """How many texts the model has cut so far; None from a ready object that does not count."""
        return getattr(self.model(), "truncated", None)

    @property
    def work(self) -> tuple[int, int] | None:
        """What the model has read so far: texts, pairs or windows, and the tokens in them; None as `truncated`."""
        return getattr(self.model(), "work", None)

    def unload(self) -> None:
        """Free the model, for every transformer that shares it; the next row opens it again."""
        self.model().unload()

    def fingerprint(self) -> str:
        """Changes with whatever changes scores; keys caches."""
        return self.model().fingerprint()


def shown_as(label: str, *, inner: str | None = None) -> dict:
    """How PyTerrier draws a class: its label and page, and how the pipelines inside it hang together."""
    return {"label": label, "help_url": DOCS} | ({"inner_pipelines_mode": inner} if inner else {})


def check_count(name: str, value: int | None, *, optional: bool = False) -> int | None:
    """`value` if it is a whole number of at least 1, or None where that is `optional`; else ValueError."""
    if (value is None and not optional) or (value is not None and (not isinstance(value, int) or value < 1)):
        raise ValueError(f"{name} is {value!r}; give a whole number of at least 1{', or None' if optional else ''}")
    return value


def _arguments(transformer) -> dict:
    return {attribute.name: attribute.value for attribute in pt.inspect.transformer_attributes(transformer)}


def _hashed(value) -> int:
    try:
        return hash(value)
    except TypeError:  # dicts and lists count by their type alone; equality looks at them
        return hash(type(value))


def _written(transformer, write) -> str:
    shown, in_order = [], True  # positional until the first argument that is left out
    for attribute in pt.inspect.transformer_attributes(transformer):
        value = str(attribute.value) if isinstance(attribute.value, Path) else attribute.value
        kind, default = attribute.init_parameter_kind, attribute.init_default_value
        if kind is Parameter.VAR_POSITIONAL:
            shown += [write(item) for item in value]
        elif default is not Parameter.empty and (value is default or value == default):
            in_order = False
        elif kind is Parameter.POSITIONAL_OR_KEYWORD and in_order:
            shown.append(write(value))
        else:
            shown.append(f"{attribute.name}={write(value)}")
    return f"{type(transformer).__name__}({', '.join(shown)})"
