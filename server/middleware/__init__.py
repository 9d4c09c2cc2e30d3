"""What stands between the network and the routes, from the outermost inwards.

`guarded` in `stack` puts it around an application: `context` (request ids, logs, counts),
`headers` (security headers), `hosts`, `load` (how many at once), `body` (how large), `pages`
(how many of one client), `access` (keys, scopes, rates), and in
a tile process `forward` (what another process has). Each is plain ASGI and touches nothing
but what it is named for.
"""
