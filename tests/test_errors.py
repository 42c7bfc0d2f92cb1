"""The tree of errors."""

from hypothesis import given
from hypothesis import strategies as st

import atrous.errors
from atrous.errors import AtrousError, DataError, OutputError


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


@given(text=st.text(max_size=60))
def test_a_message_is_one_line_that_can_be_printed(text):
    message = str(DataError(text))
    assert message.isprintable()
    assert message == text or not text.isprintable()


def test_a_long_message_keeps_what_was_given_and_the_way_out():
    message = str(DataError(f"a.toml holds {'9' * 10**6}; shorten it"))
    assert message.startswith("a.toml holds 999")
    assert message.endswith("999; shorten it")
    assert len(message) < 2100
