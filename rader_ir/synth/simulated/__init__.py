"""A simulated solver for tests, demos and benchmarks of data synthesis: it is no language model, and proves nothing about any.

It serves OpenAI's interface over loopback, solves templated problems whose answers it computes, and helps itself to a theorem
only where the prompt shows it. So a search can be seen to find what is needed, and its speed and its faults be measured.
"""

from rader_ir.synth.simulated.faults import Faults
from rader_ir.synth.simulated.problems import demo_problems, needed
from rader_ir.synth.simulated.process import Served, serve_in_process
from rader_ir.synth.simulated.replies import Skill
from rader_ir.synth.simulated.server import MODEL, SimulatedSolver
from rader_ir.synth.simulated.theorems import demo_corpus

__all__ = [
    "MODEL",
    "Faults",
    "Served",
    "SimulatedSolver",
    "Skill",
    "demo_corpus",
    "demo_problems",
    "needed",
    "serve_in_process",
]
