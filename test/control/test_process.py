"""The program itself: flags, admin pages, metrics, the end."""

import signal

import grpc
import pytest

from lib.manifests import pod, service

WEB = "web.default.svc.cluster.local:80"


def run(programs, binaries, *arguments):
    program = programs.start([binaries["linkerd-controller"], *arguments])
    return program.wait_exit(), program.output


def test_flags_are_checked_all_at_once(programs, binaries):
    status, text = run(programs, binaries, "all", "--source=.", "--kubeconfig=x", "--identity-scheme=spiffe", "-kube-apiclient-qps=many",
                       "-enable-endpoint-slices=false", "--destination-addr=nowhere", "-default-policy", "open", "--cluster-networks=10.0.0.0/40",
                       "--no-such-flag", "--default-opaque-ports=80-70", "--log-format=xml", "--stream-queue-capacity=0", "--issuer")
    assert status == 64
    for word in ("--destination-addr=nowhere", "--default-policy=open", "--cluster-networks=", "--no-such-flag is not a flag",
                 "--default-opaque-ports=80-70", "--log-format=xml", "--stream-queue-capacity=0", "--issuer needs a value",
                 "--source and --kubeconfig name two sources", "--token-key is not set", "--identity-scheme=spiffe", "--kube-apiclient-qps=many",
                 "--enable-endpoint-slices=false"):
        assert word in text, text
    assert run(programs, binaries)[0] == 64
    assert run(programs, binaries, "every")[0] == 64
    status, text = run(programs, binaries, "--help")
    assert status == 0 and "--source DIR" in text and "--token-key FILE" in text
    status, text = run(programs, binaries, "--version")
    assert status == 0 and text.startswith("linkerd-controller ")


def test_flags_in_both_forms(control):
    control.write("web.yaml", service(), pod())
    control.start("-cluster-domain", "mesh.example", "--controller-namespace=mesh", "-enable-h2-upgrade=false", "-log-level", "debug",
                  "-kube-apiclient-qps=100", "-enable-pprof=false", "-enable-endpoint-slices")
    control.program.wait_line("--kube-apiclient-qps does nothing here: not available yet")
    assert "pprof" not in control.program.output
    endpoint, = control.watch_endpoints("web.default.svc.mesh.example:80").next().add.addrs
    assert not endpoint.protocol_hint.HasField("h2") and not endpoint.HasField("tls_identity"), "meshed by another control plane"


# What the chart's pods are started with.
CHART = {
    "identity": ["identity", "-log-level=info", "-log-format=plain", "-controller-namespace=linkerd", "-identity-trust-domain=cluster.local",
                 "-identity-issuance-lifetime=24h0m0s", "-identity-clock-skew-allowance=20s", "-identity-scheme=linkerd.io/tls",
                 "-enable-pprof=false", "-kube-apiclient-qps=100", "-kube-apiclient-burst=200"],
    "destination": ["destination", "-addr=:8086", "-controller-namespace=linkerd", "-outbound-transport-mode=transport-header",
                    "-enable-h2-upgrade=true", "-log-level=info", "-log-format=plain", "-enable-endpoint-slices=true",
                    "-cluster-domain=cluster.local", "-identity-trust-domain=cluster.local", "-default-opaque-ports=25,587,3306,4444,5432",
                    "-enable-ipv6=false", "-enable-pprof=false", '--meshed-http2-client-params={"keep_alive":{}}'],
    "policy": ["policy", "--admin-addr=[::]:9990", "--control-plane-namespace=linkerd", "--grpc-addr=[::]:8090", "--server-addr=[::]:9443",
               "--server-tls-key=/var/run/linkerd/tls/tls.key", "--server-tls-certs=/var/run/linkerd/tls/tls.crt",
               "--cluster-networks=10.0.0.0/8,100.64.0.0/10", "--identity-domain=cluster.local", "--cluster-domain=cluster.local",
               "--default-policy=all-unauthenticated", "--log-level=linkerd=info,warn", "--log-format=plain",
               "--default-opaque-ports=25,587", "--global-egress-network-namespace=linkerd-egress", "--probe-networks=0.0.0.0/0,::/0"],
}


@pytest.mark.parametrize("component", sorted(CHART))
def test_the_arguments_of_the_charts_pods(component, control, programs, binaries):
    """Accepted as they are; only the cluster is missing here."""
    arguments = [*CHART[component], "-metrics-addr", f"{control.host}:9990"]
    program = programs.start([binaries["linkerd-controller"], *arguments], name=component,
                             env={"KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": ""})
    assert program.wait_exit() == 71
    assert "KUBERNETES_SERVICE_HOST is not set" in program.output and "not valid" not in program.output, program.output
    if component == "policy":  # under the name that its image has
        link = control.directory / "linkerd-policy-controller"
        link.symlink_to(binaries["linkerd-controller"])
        program = programs.start([link, *arguments[1:]], name="by-link")
        assert program.wait_exit() == 71 and "KUBERNETES_SERVICE_HOST" in program.output, program.output


def test_what_cannot_start(control, programs, binaries):
    status, text = run(programs, binaries, "destination", "--source", control.directory / "nothing", f"--admin-addr={control.host}:9990")
    assert status == 71 and "nothing" in text
    status, text = run(programs, binaries, "destination", "--kubeconfig", control.directory / "none", f"--admin-addr={control.host}:9990")
    assert status == 71 and "there is no kubeconfig file" in text
    (control.directory / "token.pub").write_text("")
    program = programs.start(control.arguments())
    assert program.wait_exit() == 71 and "token.pub" in program.output


def test_one_component_alone(control):
    control.component = "destination"
    control.write("web.yaml", service(), pod())
    control.program = control.programs.start([control.binaries["linkerd-controller"], "destination", "-addr", f"{control.host}:8086",
                                              "-metrics-addr", f"{control.host}:9990", "--source", control.source])
    control.program.wait_line("start: ready")
    assert control.watch_endpoints(WEB).next().add.addrs


def test_admin_pages(control):
    control.write("web.yaml", service(), pod())
    control.start()
    assert control.http("/ready") == (200, "ok\n") and control.http("/live")[0] == 200 and control.http("/ping") == (200, "pong\n")
    assert control.http("/nothing")[0] == 404
    control.watch_endpoints(WEB).next()
    control.get_port("web-0", 8080)
    with pytest.raises(grpc.RpcError):
        control.get_port("nobody", 8080)
    text = control.http("/metrics")[1]
    method = 'grpc_type="server_stream",grpc_service="io.linkerd.proxy.destination.Destination",grpc_method="Get"'
    assert f"grpc_server_started_total{{{method}}} 1" in text and f"grpc_server_msg_sent_total{{{method}}} 1" in text
    method = 'grpc_type="unary",grpc_service="io.linkerd.proxy.inbound.InboundServerPolicies",grpc_method="GetPort"'
    assert f'grpc_server_handled_total{{{method},grpc_code="OK"}} 1' in text
    assert f'grpc_server_handled_total{{{method},grpc_code="NotFound"}} 1' in text
    assert f"grpc_server_handling_seconds_count{{{method}}} 2" in text


def test_its_version_is_known(control, programs, binaries):
    """`linkerd version` and the version rows of `linkerd check` compare our own parts."""
    control.start()
    admin = f"{control.host}:9990"
    linkerd = [binaries["linkerd"], "version", "--short", "--admin-addr", admin]
    program = programs.start(linkerd)
    assert program.wait_exit() == 0
    ours, theirs = program.output.split()
    assert ours == theirs
    program = programs.start([binaries["linkerd"], "check", "--wait=2s", f"--admin-addr={admin}", f"--api-addr={control.host}:8086",
                              f"--identity-addr={control.host}:8080", f"--policy-addr={control.host}:8090"])
    assert program.wait_exit() == 0, program.output
    assert f"√ the control plane and this program have the same version ({admin})" in program.output


def test_a_drain(control):
    control.write("web.yaml", service(), pod())
    control.start()
    streams = [control.watch_endpoints(WEB), control.watch_profile("10.99.0.1:80"), control.watch_port("web-0", 8080),
               control.watch_target("10.99.0.1:80")]
    for stream in streams:
        stream.next()
    control.program.kill(signal.SIGTERM)
    for stream in streams:
        assert stream.end() == grpc.StatusCode.OK
    control.close()
    assert control.program.wait_exit() == 0


def test_a_second_signal_ends_at_once(control):
    control.write("web.yaml", service(), pod())
    control.start("--shutdown-grace-period=1h")
    import socket
    held = socket.create_connection((control.host, 8086))
    control.program.kill(signal.SIGTERM)
    control.program.wait_line("draining")
    control.program.kill(signal.SIGTERM)
    assert control.program.wait_exit() == 0
    held.close()


def test_garbage_on_the_ports(control):
    import socket
    control.write("web.yaml", service(), pod())
    control.start()
    for port in (8086, 8080, 8090, 9990):
        for text in (b"\x00" * 64, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100):
            with socket.create_connection((control.host, port)) as peer:
                peer.sendall(text)
                peer.shutdown(socket.SHUT_WR)
                peer.settimeout(10)
                try:
                    while peer.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
    for method in ("/io.linkerd.proxy.destination.Destination/Get", "/io.linkerd.proxy.destination.Destination/GetProfile",
                   "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort", "/io.linkerd.proxy.outbound.OutboundPolicies/Watch",
                   "/io.linkerd.proxy.identity.Identity/Certify"):
        port = 8086 if "destination" in method else 8080 if "identity" in method else 8090
        for text in (b"\xff", b"\x0a\x05ab", b"\x12\xff\xff\xff\xff\x0f"):
            call = control.channel(port).unary_unary(method)
            with pytest.raises(grpc.RpcError) as error:
                call(text, timeout=10)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, (method, text)
    assert control.watch_endpoints(WEB).next().add.addrs
