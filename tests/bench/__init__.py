"""Benchmarks: run by hand, and in CI as a report. Each figure stands beside its peer's."""
