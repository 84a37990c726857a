"""What the gateway costs: CPU per request and per chunk, added latency, capacity, start-up and memory.

The machine that runs this is seldom quiet, so the unit is not the microsecond but nginx: the same load goes through
`proxy_pass` in the same run, and CPU time is compared, not speed. docs/performance.md tells the method.
"""
