"""The audit: how far a super-resolved image can be believed, as numbers, maps and a page."""
