"""What a server refuses, beside what can go wrong anywhere (`datacube.errors`)."""

import logging

from datacube.errors import NotFound, SrcubeError

log = logging.getLogger("srcube.server")
_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"


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


class NoSuchProcess(NotFound):
    """A process that is not offered; `uri` is what OGC API Processes calls it."""

    uri = f"{_OGC}/no-such-process"


class NoSuchJob(NotFound):
    """A job that there never was, or is no more, or is another's to cancel."""

    uri = f"{_OGC}/no-such-job"

    def __init__(self) -> None:
        super().__init__("no such job; ended jobs are forgotten after a while")


class NotReady(NotFound):
    """The results of a job that has not ended."""

    code = "ResultNotReady"
    uri = f"{_OGC}/result-not-ready"


class JobFailed(SrcubeError):
    """The results of a job that failed; `code` is the reason's, as its message begins with it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the job has no results, it failed: {message}"[:300])
        reason, colon, _ = message.partition(": ")
        self.code = self.uri = reason if colon and reason.isidentifier() else "JobFailed"
