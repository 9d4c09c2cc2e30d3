"""What a server refuses, beside what can go wrong anywhere (`datacube.errors`)."""

import logging

from datacube.errors import SrcubeError

log = logging.getLogger("srcube.server")


class TooLarge(SrcubeError):
    """More than the operator allows in one request."""

    code = "ViewportTooLarge"


class TooMany(SrcubeError):
    """The queue is full; the client should come back."""

    code = "TooManyJobs"


class NotAllowed(SrcubeError):
    """The operator of this server has not allowed it to anybody."""

    code = "NotAllowed"


class UpstreamSilent(SrcubeError):
    """A server elsewhere, registered by the operator, did not give what was asked of it."""

    code = "UpstreamSilent"
