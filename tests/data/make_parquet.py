#!/usr/bin/env python3
"""Writes the Parquet files that lie beside this script.

They are small and real: two datasets, two chunks of 1,000 blocks each, three files a chunk, with
rows made from hashes, so that every run writes the same rows. The bytes also depend on pyarrow,
which writes its version into each file; the ones kept here are from pyarrow 26.

    python3 -m venv venv && venv/bin/pip install pyarrow
    venv/bin/python tests/data/make_parquet.py

Values are stored uncompressed, so that a reader without any codec can read them.
"""

import hashlib
import pathlib
import sys

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("make_parquet.py: needs the Python package pyarrow (pip install pyarrow)")

HERE = pathlib.Path(__file__).resolve().parent
DATASETS = ("chain-a", "chain-b")
CHUNKS = (range(0, 1000), range(1000, 2000))
TOPICS = ("transfer", "approval", "deposit", "withdrawal")


def fingerprint(*parts):
    """16 hexadecimal digits that depend on nothing but the parts."""
    text = "/".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pick(count, *parts):
    """A number below count that depends on nothing but the parts."""
    return int(fingerprint(*parts), 16) % count


def blocks(dataset, chunk):
    """One row for each block."""
    return pa.table({
        "block_number": pa.array(chunk, pa.uint64()),
        "hash": [fingerprint(dataset, "block", block) for block in chunk],
    })


def transactions(dataset, chunk):
    """No, one or two rows for each block."""
    rows = [(block, index)
            for block in chunk
            for index in range(pick(3, dataset, "transactions", block))]
    return pa.table({
        "block_number": pa.array([block for block, _ in rows], pa.uint64()),
        "transaction_index": pa.array([index for _, index in rows], pa.uint32()),
        "hash": [fingerprint(dataset, "transaction", *row) for row in rows],
    })


def logs(dataset, chunk):
    """Up to three rows for each block."""
    rows = [(block, index)
            for block in chunk
            for index in range(pick(4, dataset, "logs", block))]
    return pa.table({
        "block_number": pa.array([block for block, _ in rows], pa.uint64()),
        "log_index": pa.array([index for _, index in rows], pa.uint32()),
        "topic": [TOPICS[pick(len(TOPICS), dataset, "topic", *row)] for row in rows],
    })


def write(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    repeated = [name for name in ("transaction_index", "log_index", "topic")
                if name in table.column_names]
    pq.write_table(table, path, compression="none", use_dictionary=repeated)
    print(f"{path.relative_to(HERE)}: {table.num_rows} rows, {path.stat().st_size} bytes")


def main():
    for dataset in DATASETS:
        for chunk in CHUNKS:
            directory = HERE / dataset / f"{chunk.start}-{chunk.stop}"
            for make in (blocks, transactions, logs):
                write(make(dataset, chunk), directory / f"{make.__name__}.parquet")


if __name__ == "__main__":
    main()
