"""From scenes of any source to dates of a cube.

`intake` finds the scenes, `plan` says what of each will be read and on which grid, `carry_out`
reads, masks, measures shifts and commits.
"""
