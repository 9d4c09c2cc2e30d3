"""The 20 m bands of Sentinel-2 on the 10 m grid, with the 10 m bands as guide.

`lattice` finds the 20 m pixels again, `network` sharpens them, `model` is the model in the
registry; `places`, `training` and `evaluation` are how its weights and figures came about.
"""
