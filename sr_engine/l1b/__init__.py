"""Super-resolution and band alignment of Sentinel-2 level 1B, learnt without any sharp truth.

After the idea of L1BSR (Nguyen, Anger, Davy, Arias and Facciolo, EarthVision 2023): where two
detectors overlap, the same ground is seen twice, so one view can be super-resolved and the
other used to judge it.
"""
