"""The ground of the benchmarks: servers, a hub, the loop it is compared with, and the counters."""
