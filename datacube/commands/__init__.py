"""The commands of `srcube` that need pixels and stores alone."""
