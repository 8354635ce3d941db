"""What a run should be told of that no error stops: options that defeat each other, and training that did no good.

All of it follows from the options before a run and from its card after it, so the same sentences go to stderr and into the
readable card.
"""

from collections.abc import Mapping

from rader_ir.train.settings import Options


def before(options: Options, steps: int) -> list[str]:
    """Of options and the number of optimizer steps that they make.

    >>> before(Options("minilm", warmup_steps=5), 6)
    []
    """
    warms = options.schedule != "constant" and options.warmup_steps >= steps
    if not warms:
        return []
    return [
        f"warmup_steps is {options.warmup_steps} and the run has {steps} steps, so that it ends before learning_rate is reached; "
        f"lower warmup_steps, to {steps // 10} for example, or train for longer"
    ]


def after(card: Mapping) -> list[str]:
    """Of a run's card: whether the development set, or without one the loss, says that nothing was gained."""
    figures, measure = card["figures"], card["options"]["measure"]
    values = figures.get(measure, {})
    if values.get("before") is not None:
        return [] if values["chosen"] > values["before"] else [_no_better(measure, values)]
    first = figures.get("first_loss")  # absent where there was one loss alone
    if first is None or (last := figures["last_loss"]) <= first:
        return []
    return [
        f"the loss was {first:.4f} at first and {last:.4f} at last: it did not fall; lower learning_rate, train for longer, or "
        "give development examples, which tell more than the loss"
    ]


def _no_better(measure: str, values: Mapping) -> str:
    return (
        f"no state was better than the base: {measure} on the development set was {values['before']:.4f} before training and "
        f"{values['chosen']:.4f} in the best state, which these weights are"
    )
