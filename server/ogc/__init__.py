"""What other programs connect to: OGC API Common, Tiles, WMTS, Processes, EDR, and STAC API."""
