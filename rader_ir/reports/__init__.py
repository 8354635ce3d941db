"""Reports: what systems found on collections, as tables, comparisons, lists of queries and pictures.

Everything is made from `Results`, {system: {collection: {measure: {query_id: value}}}}, by pure functions; `write` puts
all of it into a folder.
"""
