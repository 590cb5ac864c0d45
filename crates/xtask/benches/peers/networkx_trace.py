"""Taint by FIFO and poison in networkx over the columns in a folder. A node for each transaction (its number) and for each
output (its number after those of transactions); edges keep the order of inputs and outputs. Building the graph is not
timed as tracing."""

import heapq
import json
import sys
import time
from pathlib import Path

import networkx as nx
import numpy as np

folder = Path(sys.argv[1])


def column(name):
    return np.fromfile(folder / name, dtype="<u8").astype("<i8")


loading = time.perf_counter()
first_output, first_input = column("first_output"), column("first_input")
inputs, values, seeds = column("inputs"), column("values"), column("seeds")
txs = len(first_output) - 1
graph = nx.DiGraph()
graph.add_nodes_from(range(txs))
graph.add_nodes_from((txs + output, {"value": value}) for output, value in enumerate(values.tolist()))
spent = np.repeat(np.arange(txs), np.diff(first_input)).tolist()
graph.add_edges_from((txs + output, tx) for output, tx in zip(inputs.tolist(), spent))
made = np.repeat(np.arange(txs), np.diff(first_output)).tolist()
graph.add_edges_from((tx, txs + output) for output, tx in enumerate(made))
loaded = time.perf_counter() - loading


def answer(began, touched, tainted):
    took = time.perf_counter() - began
    total = mixed = 0
    for node, sat in tainted:
        total += sat
        mixed += ((node - txs) % 1_000_003 + 1) * (sat % 1_000_003)
    return {
        "us": int(took * 1e6), "touched": touched, "outputs": len(tainted), "tainted": total,
        "sum": mixed % 2**64,
    }


def fifo():
    """Parts of an output are (begin, end) in order; touching ones are joined."""
    began = time.perf_counter()
    value, pred, succ = graph.nodes, graph.pred, graph.succ
    parts = {}
    due, queued = [], set()

    def arrive(node, segments):
        parts[node] = segments
        for tx in succ[node]:
            if tx not in queued:
                queued.add(tx)
                heapq.heappush(due, tx)

    for seed in seeds.tolist():
        arrive(txs + seed, [(0, value[txs + seed]["value"])])
    touched = 0
    while due:
        tx = heapq.heappop(due)
        touched += 1
        line, at = [], 0
        for node in pred[tx]:
            for begin, end in parts.pop(node, ()):
                begin, end = at + begin, at + end
                if line and line[-1][1] == begin:
                    line[-1] = (line[-1][0], end)
                else:
                    line.append((begin, end))
            at += value[node]["value"]
        at, place = 0, 0
        for node in succ[tx]:
            stop = at + value[node]["value"]
            segments = []
            while place < len(line) and line[place][1] <= at:
                place += 1
            here = place
            while at < stop and here < len(line) and line[here][0] < stop:
                begin, end = line[here]
                segments.append((max(begin, at) - at, min(end, stop) - at))
                here += 1
            at = stop
            if segments:
                arrive(node, segments)
    return answer(began, touched, [(node, sum(e - b for b, e in part)) for node, part in parts.items()])


def poison():
    began = time.perf_counter()
    value, succ = graph.nodes, graph.succ
    seen, tainted, todo = set(), [], [txs + seed for seed in seeds.tolist()]
    while todo:
        node = todo.pop()
        spenders = succ[node]
        if not spenders:
            tainted.append((node, value[node]["value"]))
        for tx in spenders:
            if tx not in seen:
                seen.add(tx)
                todo.extend(made for made in succ[tx] if value[made]["value"] > 0)
    return answer(began, len(seen), tainted)


print(json.dumps({
    "version": nx.__version__, "load us": int(loaded * 1e6), "fifo": fifo(), "poison": poison(),
}))
