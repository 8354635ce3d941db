"""Models reading texts that are laid one behind another, without padding, prefixes shared (`Engine`)."""

from rader_ir.packed.engine import Engine
from rader_ir.packed.packs import Pack

__all__ = ["Engine", "Pack"]
