"""What the server does not do: a sentence and the status of HTTP that says the same to machines."""

from atrous.errors import AtrousError


class RefusedError(AtrousError):
    """A request that is not answered.

    Attributes:
        status: Of HTTP: 400 not understood, 404 forgotten, 413 too large, 415 no image, 422 cannot be done,
            503 too many at once.
        retry_after: Seconds after which to ask again; 0 where that would not help.
    """

    def __init__(self, message: str, *, status: int, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class GoneError(Exception):
    """Who asked has hung up, so there is nobody to answer."""
