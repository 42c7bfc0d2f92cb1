"""The tree of errors: every one says what was given, the rule, and the way out, in one line.

AtrousError
├── ShapeError       an array or image has a size that the operation cannot take
├── GeometryError    a network or layer whose geometry cannot be computed, or does not exist
├── SurgeryError     a network that cannot be changed while its function is kept
├── ConfigError      a recipe, flag or argument is wrong
├── DataError        a data set or file is missing, broken or contradictory
├── CheckpointError  a checkpoint is cut short, foreign, or from a newer version
├── OutputError      a result cannot be written
├── TrainingError    a training diverged
└── StoppedError     a run was interrupted, saved what it had, and can go on
"""

_LONGEST = 2000  # letters of a message; what a file holds, and is cited, may be megabytes


class AtrousError(Exception):
    """Any error that the user can act on; the command line prints it as one line.

    A message often cites a file. What would steer a terminal or begin a new line is escaped, and the middle
    of a very long message left out, so that no file decides what a screen or a log shows.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(message))


def printable(text: str, *, keep: str = "") -> str:
    """The text with everything escaped that would steer a terminal, but for the letters to keep."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else ascii(letter)[1:-1] for letter in text
    )


def _one_line(message: str) -> str:
    """The message as it is, where it is short and can be printed."""
    message = printable(message)
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST * 2 // 3]} ... {message[-_LONGEST // 3 :]}"
    return message


class ShapeError(AtrousError, ValueError):
    """A size does not fit."""


class GeometryError(AtrousError, ValueError):
    """A network cannot be traced, or a layer or size has no geometry."""


class SurgeryError(AtrousError, ValueError):
    """A network cannot be changed in the wanted way while its function is kept."""


class ConfigError(AtrousError, ValueError):
    """A recipe, flag or argument is wrong."""


class DataError(AtrousError, ValueError):
    """A data set or file is missing, broken or contradictory."""


class CheckpointError(AtrousError, ValueError):
    """A checkpoint cannot be read."""


class OutputError(AtrousError, OSError):
    """A result cannot be written."""


class TrainingError(AtrousError):
    """A training diverged."""


class StoppedError(AtrousError):
    """A run was interrupted; what it had is saved.

    Attributes:
        exit_code: Of the command: 130 after Ctrl-C; after SIGTERM 143 of a prediction, whose results are not
            complete, and 0 of a training, which schedulers ask to save itself by it.
    """

    def __init__(self, message: str, *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
