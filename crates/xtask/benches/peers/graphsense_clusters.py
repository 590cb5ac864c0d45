"""Clusters by co-spending with GraphSense's library over the columns in a folder, by lists and by Arrow arrays. What
they are given is the outputs that each transaction spends and the address of every output, as an index has them, without
the inputs of transactions that look like CoinJoins; "gather" is making an array of addresses of that, which they need."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from gs_clustering import Clustering

folder = Path(sys.argv[1])


def column(name):
    return np.fromfile(folder / name, dtype="<u8")


want = column("clusters")
first, spent = column("co_spent_first").astype("<i4"), column("co_spent").astype("<u4")
# Their number 0 is a placeholder, so all numbers are one more.
owners = column("owners").astype("<u4") + np.uint32(1)
last = len(want)


def gather():
    return pa.ListArray.from_arrays(pa.array(first), pa.array(owners[spent]))


def timed_gather():
    began = time.perf_counter()
    gather()
    return int((time.perf_counter() - began) * 1e6)


array = gather()
lists = array.to_pylist()


def run(feed):
    began = time.perf_counter()
    clustering = Clustering(last)
    feed(clustering)
    mapping = clustering.get_mapping()
    took = time.perf_counter() - began
    found = mapping.column("cluster_id").to_numpy()[1:].astype("<i8") - 1
    return int(took * 1e6), bool((found == want.astype("<i8")).all())


best_lists = min(run(lambda c: c.process_transactions(lists)) for _ in range(3))
best_arrow = min(run(lambda c: c.process_transactions_arrow(array)) for _ in range(3))
print(json.dumps({
    "gather us": min(timed_gather() for _ in range(3)), "lists us": best_lists[0], "arrow us": best_arrow[0], "same": best_lists[1] and best_arrow[1],
}))
