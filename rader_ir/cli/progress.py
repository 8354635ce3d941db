"""A stream of documents that counts itself and shows how far it is.

Verbs hand documents to the engine as a stream and learn how many there were only when it has run through.
"""

from collections.abc import Iterable, Iterator


class Counted:
    """Iterates over (doc_id, text) pairs once; `count` is how many have passed. With `verbose`, a bar on stderr."""

    def __init__(self, documents: Iterable[tuple[str, str]], *, verbose: bool = False):
        self.documents, self.verbose, self.count = documents, verbose, 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        from tqdm import tqdm

        for document in tqdm(self.documents, desc="documents", unit="doc", disable=not self.verbose):
            self.count += 1
            yield document
