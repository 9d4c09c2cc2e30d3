"""Tests: laws and oracles first, then examples."""
