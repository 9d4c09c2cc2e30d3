"""The HTTP service: cubes as collections, map tiles of every layer, and jobs that fill them."""
