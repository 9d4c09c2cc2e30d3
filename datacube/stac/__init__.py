"""Scenes from elsewhere: STAC catalogs, their items and assets, fetched without trusting them."""
