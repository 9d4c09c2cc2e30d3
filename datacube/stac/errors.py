"""What can go wrong with bytes from elsewhere."""

from datacube.errors import InvalidInput, SrcubeError


class HrefForbidden(InvalidInput):
    """An address that must not be asked; no packet was sent there."""

    code = "HrefForbidden"


class ItemRejected(InvalidInput):
    """A STAC item that breaks a rule; the message begins with a JSON pointer to the place."""

    code = "ItemRejected"


class Unreachable(SrcubeError):
    """A server that did not give what was asked of it, after the retries."""

    code = "Unreachable"


class Absent(Unreachable):
    """What was asked for is not there, says its server."""
