"""visitor: a steady load of WebSocket sessions, each some seconds of messages that must come back.

    visitor.py URL SESSIONS-PER-SECOND
"""

import asyncio
import sys

from open_loop import OpenLoop
from websockets.asyncio.client import connect

MESSAGES, PAUSE, DEADLINE = 30, 0.1, 5


async def run(url, rate):
    async def session():
        async with connect(url, open_timeout=DEADLINE, proxy=None) as socket:
            for number in range(MESSAGES):
                await socket.send(f"message {number}")
                answer = await asyncio.wait_for(socket.recv(), DEADLINE)
                if answer != f"message {number}":
                    raise ConnectionError(f"message {number} came back as {answer!r}")
                await asyncio.sleep(PAUSE)

    await OpenLoop(rate, in_flight=100).run(session)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], float(sys.argv[2])))
