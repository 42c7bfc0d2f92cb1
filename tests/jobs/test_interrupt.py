import signal
import threading

import pytest

from atrous.jobs.interrupt import listen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish(number):
    with listen() as wish:
        assert not wish.stop
        signal.raise_signal(number)
        assert wish.stop
        assert wish.signal == number


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_ctrl_c_after_it_interrupts_at_once(first):
    with listen() as wish:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert wish.signal == first


def test_another_sigterm_changes_nothing():
    with listen() as wish:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert wish.signal == signal.SIGINT


def test_the_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with listen():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_hears_nothing_and_changes_nothing():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with listen() as wish:
            seen.append((wish.stop, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
