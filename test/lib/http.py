"""The few lines of HTTP/1.1 that tests need to look at admin ports; everything else uses real clients."""

import http.client
from dataclasses import dataclass


@dataclass
class Response:
    status: int
    headers: dict
    body: bytes


def get(host, address, port, path, method="GET", body=None, headers=None, timeout=10):
    """One request from inside a namespace, over a connection of its own."""
    sock = host.connect(address, port, timeout)
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    connection.sock = sock
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
