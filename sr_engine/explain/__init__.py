"""Why a super-resolved pixel is what it is: which pixels, bands and dates made it."""
