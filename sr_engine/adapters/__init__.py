"""Other projects' models behind our interface: their scale, windows and band order stay in here.

Each reads files that the user has; none of them fetches anything.
"""
