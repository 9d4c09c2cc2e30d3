"""Super-resolution: models, how a cube is super-resolved block by block, and why to believe it."""
