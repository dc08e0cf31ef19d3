"""NannyML's univariate drift (default distances) over two Parquet files, one chunk; prints its CPU seconds, without imports."""

import json
import sys
import time

import nannyml
import pandas as pd

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
text = [name for name in reference.columns if not pd.api.types.is_numeric_dtype(reference[name])]
calculator = nannyml.UnivariateDriftCalculator(column_names=list(reference.columns), treat_as_categorical=text, chunk_number=1)
started = time.process_time()
found = calculator.fit(reference).calculate(current).to_df()
print(json.dumps({"cpu_s": time.process_time() - started, "metrics": found.shape[1]}))
