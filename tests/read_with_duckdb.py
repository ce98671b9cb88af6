#!/usr/bin/env python3
"""Reads a data directory as it is, with DuckDB: python3 tests/read_with_duckdb.py DATA_DIR

Prints one JSON list: for each dataset its id, how many chunks and files DuckDB sees, and how many
rows are in them. The directory may be in use meanwhile.

Exits with 77, the usual code for a skipped test, where the Python package duckdb is missing.
"""

import json
import os
import sys

# Only committed chunks match. `*/*/*.parquet` and `**/*.parquet` reach further: DuckDB does not skip
# names that begin with `_`, so it would also look into the folders that are the library's own.
CHUNK_FILES = "dataset_id=*/chunk=*/*.parquet"

QUERY = """
    SELECT dataset_id, count(DISTINCT chunk), count(DISTINCT filename), count(*)
    FROM read_parquet(
        ?, filename = true, union_by_name = true, hive_partitioning = true,
        hive_types = {'dataset_id': VARCHAR, 'chunk': VARCHAR})
    GROUP BY dataset_id
    ORDER BY dataset_id
"""


def read(duckdb, data_dir):
    """What DuckDB sees, as a list of dictionaries; an empty one where it sees nothing."""
    try:
        rows = duckdb.execute(QUERY, [os.path.join(data_dir, CHUNK_FILES)]).fetchall()
    except duckdb.IOException as error:
        if "No files found" in str(error):
            return []
        raise
    names = ("dataset_id", "chunks", "files", "rows")
    return [dict(zip(names, row)) for row in rows]


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: read_with_duckdb.py DATA_DIR")
    try:
        import duckdb
    except ImportError:
        print("skipped: needs the Python package duckdb (pip install duckdb)")
        sys.exit(77)
    print(json.dumps(read(duckdb, sys.argv[1])))


if __name__ == "__main__":
    main()
