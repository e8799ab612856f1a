"""quotes: a gRPC service. Get answers one request, Watch streams a few answers; both count in Redis, over one connection, opened
at the start and again when it breaks.

    quotes.py NAME PORT REDIS-HOST:PORT
"""

import asyncio
import sys

import grpc

SERVICE = "shop.Quotes"
WATCHED = 3  # answers of a stream


class Counter:
    """INCR over a connection of its own, in Redis' inline form."""

    def __init__(self, address):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.reader = self.writer = None
        self.lock = asyncio.Lock()

    async def increment(self, key):
        async with self.lock:
            try:
                if self.writer is None:
                    self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
                self.writer.write(f"INCR {key}\r\n".encode())
                line = await asyncio.wait_for(self.reader.readline(), 3)
                if not line.startswith(b":"):
                    raise ConnectionError(f"Redis said {line!r}" if line else "Redis closed the connection")
                return int(line[1:])
            except (OSError, asyncio.TimeoutError) as error:
                if self.writer is not None:
                    self.writer.close()
                self.reader = self.writer = None
                raise ConnectionError(f"cache: {error or 'no answer in 3 s'}") from error


class Quotes:
    def __init__(self, name, counter):
        self.name, self.counter = name, counter

    async def _quote(self, request, context):
        try:
            number = await self.counter.increment(f"asked:{self.name}")
        except ConnectionError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return f"{request.decode(errors='replace')}: {number % 90 + 10}.00, said by {self.name}".encode()

    async def get(self, request, context):
        return await self._quote(request, context)

    async def watch(self, request, context):
        for _ in range(WATCHED):
            yield await self._quote(request, context)


async def serve(name, port, redis):
    counter = Counter(redis)
    await counter.increment("started")  # the connection is there before the first call
    quotes = Quotes(name, counter)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {
        "Get": grpc.unary_unary_rpc_method_handler(quotes.get),
        "Watch": grpc.unary_stream_rpc_method_handler(quotes.watch),
    })])
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
