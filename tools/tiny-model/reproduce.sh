#!/bin/sh
# Trains the tiny model from nothing, exports it, and writes its evaluation and training curve into docs/.
# Hours on a CPU; interrupted and started again, it goes on. THREADS: one for each idle core (default 2).
set -eu
cd "$(dirname "$0")"
threads=${THREADS:-2}
python3 train.py --threads "$threads"
python3 train.py --threads "$threads" --images 0.4 --start out/text/checkpoint.pt --out out/vision --steps 3000
for type in Q8_0 Q4_K_M; do
  python3 export.py --checkpoint out/vision/checkpoint.pt --type "$type" --out "out/tiny-$type.gguf"
done
python3 evaluate.py --checkpoint out/vision/checkpoint.pt --count 200 --threads "$threads" | tee ../../docs/tiny-model-evaluation.md
python3 plot.py ../../docs/tiny-model-curve.svg out/text/curve.csv out/vision/curve.csv
