"""gRPC's own interoperability client and server, one on each side of the pair."""

import pytest

CASES = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
         "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service"]


@pytest.mark.parametrize("protocol", ["detect", "http2"])
def test_interop(pair, tool, protocol):
    client, server = tool("grpc-client"), tool("grpc-server")
    pair.service(port=90, target=9000, protocol=protocol)
    pair.web.start_app([server, "--port=9000"], port=9000, name="grpc-server")
    pair.start()
    failures = []
    for case in CASES:
        done = pair.client.host.run([client, "--server_host=10.99.0.1", "--server_port=90", f"--test_case={case}"], uid=1000,
                                    check=False, timeout=40)
        if done.returncode:
            failures.append(f"{case}: {done.stdout}{done.stderr}")
    assert not failures, "\n".join(failures)
    assert 'tls="true"' in pair.web.metrics()
