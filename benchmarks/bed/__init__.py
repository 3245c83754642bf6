"""What the benchmarks stand on: servers, a hub, the loop it is compared with, and the counters."""
