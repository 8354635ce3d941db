"""Reports: what systems found on collections, as tables, comparisons, lists of queries and pictures.

Everything is made from `Results`, {system: {collection: {measure: {query_id: value}}}}, by pure functions; `write` puts
all of it into a folder. Tests need scipy and pictures matplotlib, of the extra `eval`; tables need neither.
"""

from rader_ir.reports.folder import write

__all__ = ["write"]
