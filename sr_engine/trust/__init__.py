"""How far a super-resolved pixel can be trusted: calibrated intervals, and what they were found
to hold at places that neither the model nor the calibration has seen.
"""
