"""The models of an experiment: opened by a system's checkpoint, of which one is live at a time.

A collection may fix how many tokens of a query and a document count (`Collection.max_query_length`); what the caller asks for
comes before that, and a model that has positions for fewer takes as many as it has.
"""

from functools import cached_property

from rader_ir.collection import Collection
from rader_ir.rerank import open_reranker

LENGTHS = ("max_query_length", "max_doc_length")


class Engines:
    """Opens encoders and rerankers; whatever another checkpoint held in memory is freed when one is asked for.

    Args:
        verbose: whether rerankers by vectors show their bar.
        options: as `rader_ir.Encoder`, and `max_length` of a cross-encoder: device, dtype, batch_tokens, forms, lengths; for
            all systems alike.
    """

    def __init__(self, *, verbose: bool = False, **options):
        self.verbose, self.options = verbose, options
        self._checkpoint: tuple | None = None
        self._open: dict[tuple, object] = {}

    def encoder(self, system, collection: Collection, *, instruction: str = ""):
        """The `Encoder` of a dense system for a collection; instructions go with the queries, unless one is given here."""
        from rader_ir.encoder import Encoder  # here, so that BM25 and runs that are given need no torch

        options = {name: value for name, value in self.options.items() if name != "max_length"}
        options |= self._lengths(system, collection) | {"instruction": instruction, "revision": system.revision}
        return self._kept(system, ("encoder", options), lambda: Encoder(system.checkpoint, **options))

    def reranker(self, system, collection: Collection):
        """The reranker of a system. One by vectors reads the collection's instruction; a cross-encoder was trained with none."""
        if system.reranker == "biencoder":
            encoder = self.encoder(system, collection, instruction=collection.instruction)
            encoder.verbose = self.verbose
            return self._kept(
                system, ("biencoder", id(encoder)), lambda: open_reranker("biencoder", checkpoint=encoder)
            )
        options = {name: value for name, value in self.options.items() if name not in LENGTHS}
        options |= {"revision": system.revision}
        return self._kept(
            system,
            (system.reranker, options),
            lambda: open_reranker(system.reranker, checkpoint=system.checkpoint, **options),
        )

    def describe(self, engine) -> dict:
        """What makes an engine's vectors or scores what they are, as JSON values: weights, revision, forms, lengths, dtype."""
        model = getattr(engine, "model", engine)
        return {**model.describe(), "dtype": self._dtype, "fingerprint": engine.fingerprint()}

    def close(self) -> None:
        """Free all models."""
        for engine in self._open.values():
            engine.unload()
        self._open, self._checkpoint = {}, None

    @cached_property
    def _dtype(self) -> str:
        from rader_ir.loading import choose_device, choose_dtype

        asked = self.options.get("dtype")
        return str(choose_dtype(asked, choose_device(self.options.get("device")))).removeprefix("torch.")

    def _kept(self, system, what: tuple, make):
        """An engine that was made before for this checkpoint, or a new one."""
        if self._checkpoint != (system.checkpoint, system.revision):
            self.close()
            self._checkpoint = (system.checkpoint, system.revision)
        engine = self._open.get(repr(what))
        if engine is None:
            engine = self._open[repr(what)] = make()
        return engine

    def _lengths(self, system, collection: Collection) -> dict:
        fixed = {name: getattr(collection, name) for name in LENGTHS}
        fixed = {name: length for name, length in fixed.items() if length and not self.options.get(name)}
        if not fixed:
            return {}
        from rader_ir.encoder import Encoder
        from rader_ir.loading import longest_text

        longest = longest_text(Encoder(system.checkpoint, revision=system.revision).files())
        return {name: min(length, longest or length) for name, length in fixed.items()}
