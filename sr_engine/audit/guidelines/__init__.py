"""Rules for accountable super-resolution of Sentinel-2, each with what supports it."""
