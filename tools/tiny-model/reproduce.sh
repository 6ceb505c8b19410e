#!/bin/sh
# Trains the tiny model from nothing, exports it, and writes its evaluation and training curve into docs/.
# An hour or two on two cores; interrupted and started again, it goes on. WORKERS: one for each idle core (default 2).
set -eu
cd "$(dirname "$0")"
python3 train.py --workers "${WORKERS:-2}"
for type in Q8_0 Q4_K_M; do python3 export.py --type "$type" --out "out/tiny-$type.gguf"; done
python3 plot.py ../../docs/tiny-model-curve.svg out/curve.csv
python3 evaluate.py --questions out/questions.jsonl --count 100
{
  echo "The reference (PyTorch), before quantisation:"; echo
  python3 evaluate.py --count 100
  for type in Q8_0 Q4_K_M; do
    echo; echo "$type through the library in Chromium:"; echo
    node evaluate.mjs out/questions.jsonl "out/tiny-$type.gguf" "out/tiny-$type-mmproj.gguf"
  done
} | tee ../../docs/tiny-model-evaluation.md
