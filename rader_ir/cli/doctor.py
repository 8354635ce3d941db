"""`rader doctor`: what this machine lacks for each door, and the command that mends it.

The findings come from `rader_ir.doctor`. A missing part of an optional door is no failure; a broken one is, and then
the exit status is 1.
"""

import argparse
from dataclasses import asdict

from rader_ir.doctor import diagnose, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(args: argparse.Namespace) -> dict:
    """Prints the findings; the exit status is 1 where something is broken."""
    findings = diagnose()
    print(report(findings))
    states = [finding.state for finding in findings]
    counts = {state: states.count(state) for state in ("ok", "missing", "broken")}
    return {**counts, "findings": [asdict(finding) for finding in findings], "status": int("broken" in states)}
