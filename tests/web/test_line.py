import asyncio
import threading

import pytest

from atrous.web.line import Line
from atrous.web.refusals import GoneError, RefusedError


async def stays() -> bool:
    return False


async def hangs_up() -> bool:
    return True


def test_work_is_done_in_another_thread_and_errors_come_back():
    async def main():
        line = Line(concurrency=1, waiting=1)
        assert await line.do(threading.current_thread, is_gone=stays) != threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await line.do(lambda: 1 / 0, is_gone=stays)
        assert await line.do(lambda: "goes on", is_gone=stays) == "goes on"
        assert line.num_done == 3

    asyncio.run(main())


def test_a_full_line_turns_away_and_a_left_place_is_free():
    line = Line(concurrency=1, waiting=1)
    with line.place():
        with line.place():
            assert line.length == 2
            with pytest.raises(RefusedError, match="2 requests are under way") as refused, line.place():
                pass
            assert refused.value.status == 503
            assert refused.value.retry_after >= 1
        with line.place():
            pass
    assert line.length == 0


def test_who_hangs_up_while_waiting_is_dropped_and_blocks_nobody():
    async def main():
        line, free, ran = Line(concurrency=1, waiting=9), threading.Event(), []
        first = asyncio.create_task(line.do(free.wait, is_gone=stays))
        await asyncio.sleep(0)
        with pytest.raises(GoneError):
            await line.do(lambda: ran.append("gone"), is_gone=hangs_up)
        last = asyncio.create_task(line.do(lambda: ran.append("last"), is_gone=stays))
        free.set()
        await asyncio.gather(first, last)
        assert ran == ["last"]

    asyncio.run(main())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_run_at_once_than_allowed(concurrency):
    async def main():
        line, lock, running, most = Line(concurrency=concurrency, waiting=99), threading.Lock(), 0, 0
        full = threading.Barrier(concurrency)

        def work():
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            full.wait(timeout=30)
            with lock:
                running -= 1

        await asyncio.gather(*(line.do(work, is_gone=stays) for _ in range(3 * concurrency)))
        assert most == concurrency

    asyncio.run(main())
