"""Whole files and whole scenes of cubes, super-resolved block by block into one COG.

What is read (`source`), how a block is made (`blocks`), what is kept until all are done
(`partial`), the whole (`run`).
"""
