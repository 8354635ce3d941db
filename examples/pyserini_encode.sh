#!/usr/bin/env bash
# Theorems to a Pyserini index, questions to a run: bash examples/pyserini_encode.sh [CHECKPOINT] [FOLDER]
# Both steps are Pyserini's own programs with RaDeR's encoders; without Pyserini or Java 21 the same commands do without.
set -euo pipefail
checkpoint=${1:-minilm} folder=${2:-pyserini-example}
data=$(python -c 'import rader_ir; print(rader_ir.__path__[0])')/data/theoremqa
mkdir -p "$folder"

# Pyserini's names of the fields, and no .gz
gzip -dc "$data/corpus.jsonl.gz" | sed 's/"doc_id":/"id":/; s/"name":/"title":/' > "$folder/docs.jsonl"
gzip -dc "$data/queries.jsonl.gz" | sed 's/"query_id":/"id":/; s/"text":/"query":/' > "$folder/topics.jsonl"

python -m rader_ir.pyserini encode \
  input --corpus "$folder/docs.jsonl" --fields title text \
  output --embeddings "$folder/index" --to-faiss \
  encoder --encoder "$checkpoint" --fields title text

python -m rader_ir.pyserini search --index "$folder/index" --encoder "$checkpoint" \
  --topics "$folder/topics.jsonl" --topics-format raw_jsonl --hits 100 --output "$folder/dense.trec"

rader evaluate "$data/qrels.tsv" "$folder/dense.trec" --measures "nDCG@10 R@100"
