"""The explorer: a Panel page with a swipe map that speaks HTTP to the server."""
