"""Two tables, compared column by column: what drifted, what is at fault, and how sure that is. Needs no platform.

>>> import pyarrow as pa
>>> from flyball.monitoring import compare
>>> found = compare(pa.table({"a": [float(x) for x in range(200)]}), pa.table({"a": [float(x) for x in range(100, 300)]}))
>>> found.drifted
('a',)
"""
