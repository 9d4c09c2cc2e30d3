"""Where scenes come from: each kind of source says what it holds before a pixel is read.

`recognise.plan_source` finds the kind; `geotiff`, `safe`, `netcdf` and `l1b` plan scenes;
`raster` is the only place that opens a raster file; `pixels` reads a planned scene on a cube's
grid.
"""
