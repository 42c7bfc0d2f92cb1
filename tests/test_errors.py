"""The tree of errors."""

import atrous.errors
from atrous.errors import AtrousError, OutputError


def test_the_tree_in_the_docstring_has_every_error():
    classes = {name for name, value in vars(atrous.errors).items() if isinstance(value, type)}
    drawn = {
        line.split()[1] for line in (atrous.errors.__doc__ or "").splitlines() if line[:1] in "├└" and line
    }
    assert classes == drawn | {"AtrousError"}


def test_every_error_is_caught_by_the_root():
    for value in vars(atrous.errors).values():
        if isinstance(value, type):
            assert issubclass(value, AtrousError)


def test_an_error_that_is_also_an_os_error_keeps_its_words():
    assert str(OutputError("cannot write a.png (disk full)")) == "cannot write a.png (disk full)"
