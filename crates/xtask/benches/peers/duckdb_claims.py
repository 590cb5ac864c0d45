"""Holders of XEM in Parquet, and what each is owed in yen as DuckDB computes it from that file."""

import json
import sys
import time
from pathlib import Path

import duckdb

folder, customers, units = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
holdings, paid = folder / "holdings.parquet", folder / "peer.csv"
db = duckdb.connect()
db.execute("set threads = 2")
db.execute("set enable_progress_bar = false")
# Holdings of very different sizes; what rounding down leaves is the first one's.
db.execute(f"""
    create table weight as
    select i, pow((i * 2654435761) % 1000003 + 1, 2)::hugeint as w from range({customers}) t(i)
""")
db.execute(f"create table part as select i, {units}::hugeint * w // (select sum(w)::hugeint from weight) as u from weight")
db.execute(f"""
    copy (
        select printf('customer-%08d', i) as customer, 'XEM' as asset,
            (u + case when i = 0 then {units} - (select sum(u) from part) else 0 end)::ubigint as units
        from part order by i
    ) to '{holdings}' (format parquet)
""")
begun = time.perf_counter()
# 88.549 yen for 1,000,000 units, half a yen up.
db.execute(f"""
    copy (select customer, (units::hugeint * 88549 + 500000000) // 1000000000 as yen from '{holdings}')
    to '{paid}' (format csv)
""")
took = time.perf_counter() - begun
rows, total = db.execute(f"select count(*), sum(yen)::bigint from '{paid}'").fetchone()
print(json.dumps({"us": int(took * 1e6), "customers": rows, "yen": total, "parquet_bytes": holdings.stat().st_size}))
