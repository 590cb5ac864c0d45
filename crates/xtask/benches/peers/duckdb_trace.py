"""Taint in DuckDB over the columns in a folder: FIFO with one SQL statement for each level of the graph, poison as one
recursive query. Levels, running sums and all joins of the graph with itself are prepared beforehand and not timed."""

import json
import sys
import time
from pathlib import Path

import duckdb
import numpy as np

folder = Path(sys.argv[1])


def column(name):
    return np.fromfile(folder / name, dtype="<u8").astype("<i8")


def line_starts(first, values):
    """Where each value begins in the line of its transaction."""
    before = np.concatenate([[0], np.cumsum(values)])
    return before[:-1] - np.repeat(before[first[:-1]], np.diff(first))


loading = time.perf_counter()
first_output, first_input = column("first_output"), column("first_input")
inputs, values, spenders = column("inputs"), column("values"), column("spenders")
levels, seeds = column("levels"), column("seeds")
count = len(values)
txs = len(first_output) - 1
tx = np.repeat(np.arange(txs), np.diff(first_output))
start = line_starts(first_output, values)
# Where an output begins in the line of the inputs of the transaction that spends it.
next_start = np.zeros(count, dtype="<i8")
next_start[inputs] = line_starts(first_input, values[inputs])
next_level = np.where(spenders >= 0, levels[spenders], -1)
outputs = {
    "output": np.arange(count), "tx": tx, "start": start, "stop": start + values, "value": values,
    "level": levels[tx], "spender": spenders, "next_start": next_start, "next_level": next_level,
}
db = duckdb.connect()
db.execute("set threads = 2")
db.execute("set enable_progress_bar = false")
frame = {name: np.ascontiguousarray(numbers) for name, numbers in outputs.items()}
db.execute("create table o as select * from frame order by level, tx, output")
seed_frame = {"output": seeds}
db.execute("create table seed as select o.* from seed_frame s join o on o.output = s.output")
db.execute("create table part (output bigint, level bigint, tx bigint, a bigint, b bigint, sat bigint)")
db.execute("create table empty as select * from part")
loaded = time.perf_counter() - loading


def checked(rows):
    """The answer to compare: unspent tainted outputs and their amounts."""
    output, sat = rows
    mixed = (output.astype("<u8") % 1_000_003 + 1) * (sat.astype("<u8") % 1_000_003)
    return {"outputs": len(output), "tainted": int(sat.sum()), "sum": int(mixed.sum(dtype="<u8"))}


def fifo():
    """A part is [a, b) in the line of inputs of the transaction that spends the output; unspent, only its amount counts."""
    began = time.perf_counter()
    db.execute(
        "insert into part select output, next_level, spender, next_start, next_start + value, value from seed"
    )
    first, = db.execute("select min(level) from part where level >= 0").fetchone()
    last = int(levels.max())
    for level in range(first, last + 1):
        db.execute(
            """
            insert into part
            select o.output, o.next_level, o.spender,
                   o.next_start + greatest(p.a, o.start) - o.start,
                   o.next_start + least(p.b, o.stop) - o.start,
                   least(p.b, o.stop) - greatest(p.a, o.start)
            from part p join o on o.tx = p.tx and o.start < p.b and o.stop > p.a
            where p.level = $1 and o.level = $1 and o.value > 0
            """,
            [level],
        )
    rows = db.execute(
        "select output, sum(sat)::bigint as sat from part where level < 0 group by output"
    ).fetchnumpy()
    touched, = db.execute("select count(distinct tx) from part where level >= 0").fetchone()
    took = time.perf_counter() - began
    return {"us": int(took * 1e6), "touched": touched, **checked((rows["output"], rows["sat"]))}


def poison():
    began = time.perf_counter()
    rows = db.execute(
        """
        with recursive reach(tx) as (
            select spender from seed where spender >= 0
            union
            select o.spender from reach join o on o.tx = reach.tx where o.spender >= 0 and o.value > 0
        ),
        tainted as (
            select o.output, o.value from o join reach on o.tx = reach.tx
            where o.spender < 0 and o.value > 0
            union
            select output, value from seed where spender < 0
        )
        select output, value from tainted
        """
    ).fetchnumpy()
    took = time.perf_counter() - began
    touched, = db.execute(
        """
        with recursive reach(tx) as (
            select spender from seed where spender >= 0
            union
            select o.spender from reach join o on o.tx = reach.tx where o.spender >= 0 and o.value > 0
        ) select count(*) from reach
        """
    ).fetchone()
    return {"us": int(took * 1e6), "touched": touched, **checked((rows["output"], rows["value"]))}


print(json.dumps({
    "version": duckdb.__version__, "load us": int(loaded * 1e6), "fifo": fifo(), "poison": poison(),
}))
