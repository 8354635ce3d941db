"""Models reading texts that are laid one behind another, without padding, prefixes shared (`Engine`).

What is read is a `Pack`: all its tokens in one row, with where each text begins and which prefix it continues. Decoders and BERTs
have ways of their own here; what an architecture cannot is read padded, and the log says so.
"""

from rader_ir.packed.engine import Engine
from rader_ir.packed.packs import Pack

__all__ = ["Engine", "Pack"]
