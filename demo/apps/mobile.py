"""mobile: a steady load of gRPC calls, one in five of them a stream.

    mobile.py HOST:PORT CALLS-PER-SECOND
"""

import asyncio
import itertools
import sys

import grpc
from open_loop import OpenLoop

DEADLINE = 5


async def run(target, rate):
    numbers = itertools.count()
    async with grpc.aio.insecure_channel(target) as channel:
        get, watch = channel.unary_unary("/shop.Quotes/Get"), channel.unary_stream("/shop.Quotes/Watch")

        async def one():
            try:
                if next(numbers) % 5:
                    await get(b"ACME", timeout=DEADLINE)
                elif not [answer async for answer in watch(b"ACME", timeout=DEADLINE)]:
                    raise ConnectionError("a stream without answers")
            except grpc.aio.AioRpcError as error:
                raise ConnectionError(f"{error.code().name}: {error.details()}") from error

        await OpenLoop(rate, in_flight=500).run(one)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], float(sys.argv[2])))
