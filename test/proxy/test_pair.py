"""What passes between two proxies: each protocol, encrypted, under a control plane that is not ours."""

import pathlib
import re
import tempfile

import pytest

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir};
  server {{
    listen 8080; listen [::]:8080;
    location / {{ add_header x-client-id $http_l5d_client_id; add_header x-orig-proto "$http_l5d_orig_proto";
                  return 200 "hello from nginx over $server_protocol\\n"; }}
  }}
}}
"""


@pytest.fixture
def folder():
    """A folder that any user may use; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="clinkerd-test-") as path:
        folder = pathlib.Path(path)
        folder.chmod(0o777)
        yield folder


def nginx(pod, folder):
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder))
    return pod.start_app(["nginx", "-c", folder / "nginx.conf"], port=8080, uid=1000, name="nginx")


def test_http1_over_mtls(pair, folder):
    pair.service()
    nginx(pair.web, folder)
    pair.start()
    answer = pair.curl("-i").stdout
    assert answer.startswith("HTTP/1.1 200"), answer
    assert "hello from nginx over HTTP/1.1" in answer
    assert f"x-client-id: {pair.client_identity}" in answer
    assert "l5d-orig-proto" not in answer
    metrics = pair.web.metrics()
    assert re.search(r'request_total\{direction="inbound".*tls="true",client_id="client\.default', metrics), metrics
