"""Our destination and policy components and Linkerd's own, all reading one Kubernetes API, asked the same.

    both = Both(binaries, programs, network, folder)
    both.apply(thing, ...)                   before and after the next
    both.start()
    both.compare([Get("web.shop.svc.cluster.local:80", node="node-a"), Port("shop", "web-0", 80), ...])

An answer is what a proxy would know in the end, as plain Python: updates are folded into the set of endpoints, lists whose order
means nothing are sorted, addresses are text. compare() waits until the answers are equal, and fails with what differs.
"""

import ipaddress
import json
import pathlib
import threading
import time

import grpc
from google.protobuf import json_format

from lib.controller import Controller
from lib.kubernetes import ADMIN, Apiserver
from lib.relay import Relay
from lib.scripted import messages
from lib.wait import until
from lib.worlds import DOMAIN, NETWORKS, OPAQUE, peer

PATIENCE = 10  # seconds until two answers that differ are taken for different
DESTINATION, POLICY = 8086, 8090
SIDES = ("ours", "theirs")
NO_ANSWERS = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "CANCELLED")
KUBECONFIG = """current-context: c
clusters: [{{name: c, cluster: {{server: 'https://{ip}:6443', certificate-authority: {folder}/ca.crt}}}}]
users: [{{name: c, user: {{token: '{token}'}}}}]
contexts: [{{name: c, context: {{cluster: c, user: c}}}}]
"""


class Both:
    def __init__(self, binaries, programs, network, folder, definitions):
        self.binaries, self.programs, self.network, self.folder = binaries, programs, network, pathlib.Path(folder)
        self.hosts = {side: network.host(side) for side in SIDES}
        self.relays, self.channels = {}, {}
        self.api = Apiserver(network.host("kube"), programs, self.folder / "kube", peer, definitions).start()

    def apply(self, *things):
        for thing in things:
            self.api.apply(thing)

    def delete(self, *things):
        for thing in things:
            self.api.delete(thing)

    # --- the programs ---

    def start(self):
        shared = [f"-cluster-domain={DOMAIN}", f"-default-opaque-ports={OPAQUE}"]
        destination = ["destination", "-addr=0.0.0.0:8086", "-controller-namespace=linkerd", "-outbound-transport-mode=transparent",
                       "-enable-h2-upgrade=true", f"-identity-trust-domain={DOMAIN}", "-enable-ipv6=true", *shared]
        policy = ["--control-plane-namespace=linkerd", "--grpc-addr=0.0.0.0:8090", "--admission-controller-disabled",
                  f"--cluster-networks={NETWORKS}", f"--identity-domain={DOMAIN}", f"--cluster-domain={DOMAIN}",
                  "--default-policy=all-unauthenticated", f"--default-opaque-ports={OPAQUE}", "--probe-networks=0.0.0.0/0,::/0",
                  "--global-egress-network-namespace=linkerd-egress"]
        self._start_ours(destination, policy)
        self._start_theirs(destination, policy)
        return self

    def _start_ours(self, destination, policy):
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG.format(ip=self.api.host.ip4, folder=self.api.folder, token=ADMIN))
        for name, arguments in (("destination", destination), ("policy", ["policy", *policy])):
            program = self.programs.start([self.binaries["linkerd-controller"], *arguments, "--kubeconfig", kubeconfig],
                                          namespace=self.hosts["ours"], name=f"our-{name}")
            program.wait_line("start: ready")

    def _start_theirs(self, destination, policy):
        host = self.hosts["theirs"]
        account = self.folder / "run/secrets/kubernetes.io/serviceaccount"
        account.mkdir(parents=True)
        for name, text in (("token", ADMIN), ("ca.crt", self.api.ca_pem), ("namespace", "linkerd")):
            (account / name).write_text(text)
        host.mounts = {"/run": self.folder / "run"}
        env = {"HOSTNAME": "theirs-0", "KUBERNETES_SERVICE_HOST": self.api.host.ip4, "KUBERNETES_SERVICE_PORT": "6443"}
        http2 = '{"keep_alive":{"interval":{"seconds":10},"timeout":{"seconds":3},"while_idle":true}}'
        for name, argv, port in (
                ("destination", [peer("linkerd2-controller"), *destination, "-log-level=info", "-log-format=plain",
                                 "-enable-endpoint-slices=true", "-enable-pprof=false", f"--meshed-http2-client-params={http2}"], 9996),
                ("policy", [peer("linkerd2-policy-controller"), "--admin-addr=0.0.0.0:9990", *policy, "--log-level=linkerd=info,warn",
                            "--log-format=plain"], 9990)):
            program = self.programs.start(argv, namespace=host, env=env, name=f"their-{name}")
            until(lambda: is_ready(host, program, port), lambda: program.output, 60)

    def channel(self, side, port):
        if (side, port) not in self.channels:
            relay = self.relays[side, port] = Relay(self.hosts[side], "127.0.0.1", port)
            self.channels[side, port] = grpc.insecure_channel(f"127.0.0.1:{relay.port}")
        return self.channels[side, port]

    def close(self):
        for channel in self.channels.values():
            channel.close()
        for relay in self.relays.values():
            relay.close()

    # --- comparing ---

    def ask(self, question):
        return {side: question.ask(self, side) for side in SIDES}

    def compare(self, questions, meant):
        """Asks both; waits until all answers are equal, meant differences taken out: meant(question, ours, theirs) gives the two."""
        asked = [(question, self.ask(question)) for question in questions]
        try:
            self.agree(asked, meant)
        finally:
            for _, calls in asked:
                for call in calls.values():
                    call.cancel()

    def agree(self, asked, meant, seconds=PATIENCE):
        """The calls that ask() began give equal answers, at some time soon."""
        deadline = time.monotonic() + seconds
        while True:
            said = [(question, *meant(question, *(calls[side].answer() for side in SIDES))) for question, calls in asked]
            assert not any(answer in NO_ANSWERS for each in said for answer in each[1:] if isinstance(answer, str)), said
            different = [(question, ours, theirs) for question, ours, theirs in said if ours != theirs]
            if not different:
                return said
            assert time.monotonic() < deadline, "\n".join(describe(*each) for each in different)
            time.sleep(0.02)  # between looks


def is_ready(host, program, port):
    assert program.running(), program.output
    return host.run(["curl", "-sf", f"http://127.0.0.1:{port}/ready"], check=False).returncode == 0


def describe(question, ours, theirs):
    """What differs, line by line."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict) and ours and theirs):
        return f"{question}\n" + "\n".join(f"  {side}: {', '.join(answer) if isinstance(answer, dict) else answer}"
                                          for side, answer in (("ours", ours), ("theirs", theirs)))
    lines = {"ours": set(flat(ours)), "theirs": set(flat(theirs))}
    only = [f"  {side}: {line}" for side, other in (("ours", "theirs"), ("theirs", "ours")) for line in sorted(lines[side] - lines[other])]
    return f"{question}\n" + "\n".join(only or [f"  ours: {ours}", f"  theirs: {theirs}"])


def flat(thing, path=""):
    if isinstance(thing, dict) and thing:
        for key, value in thing.items():
            yield from flat(value, f"{path}.{key}")
    elif isinstance(thing, list) and thing:
        for number, value in enumerate(thing):
            yield from flat(value, f"{path}[{number}]")
    else:
        yield f"{path} = {thing!r}"


# --- answers ---

def plain(message):
    return readable(json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=False))


def readable(thing):
    if isinstance(thing, list):
        return [readable(each) for each in thing]
    if not isinstance(thing, dict):
        return thing
    if set(thing) == {"ipv4"}:
        return str(ipaddress.IPv4Address(thing["ipv4"]))
    if set(thing) == {"ipv6"}:
        return str(ipaddress.IPv6Address(int(thing["ipv6"].get("first", 0)) << 64 | int(thing["ipv6"].get("last", 0))))
    return {key: readable(value) for key, value in thing.items()}


def in_order(thing):
    """Lists sorted that are sets: of authorizations, networks, identities, addresses."""
    if isinstance(thing, list):
        return [in_order(each) for each in thing]
    if not isinstance(thing, dict):
        return thing
    found = {key: in_order(value) for key, value in thing.items()}
    for key in ("authorizations", "networks", "identities", "suffixes", "server_ips", "except"):
        if isinstance(found.get(key), list):
            found[key] = sorted(found[key], key=lambda each: json.dumps(each, sort_keys=True))
    return found


class Call:
    """A server stream, read by a thread of its own; what it has said so far, folded."""

    def __init__(self, call, fold, nothing):
        self.call, self.fold, self.lock = call, fold, threading.Lock()
        self.state, self.count = nothing, 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self.call:
                with self.lock:
                    self.state, self.count = self.fold(self.state, plain(message)), self.count + 1
        except grpc.RpcError as error:
            with self.lock:
                self.state = error.code().name

    def answer(self):
        with self.lock:
            return self.state

    def cancel(self):
        self.call.cancel()


class Unary:
    """Asked anew each time."""

    def __init__(self, method, request):
        self.method, self.request = method, request

    def answer(self):
        try:
            return in_order(plain(self.method(self.request, timeout=10)))
        except grpc.RpcError as error:
            return error.code().name

    def cancel(self):
        pass


def replace(_, message):
    return in_order(message)


def endpoints(state, update):
    """address -> what is known of it. Labels of the set are those of each."""
    found = dict(state)
    if "no_endpoints" in update:
        return {}
    for addr in update.get("add", {}).get("addrs", []):
        where = addr.pop("addr")
        labels = {**update["add"].get("metric_labels", {}), **addr.pop("metric_labels", {})}
        found[f"{where['ip']} {where['port']}"] = {**addr, "labels": labels}
    for where in update.get("remove", {}).get("addrs", []):
        found.pop(f"{where['ip']} {where['port']}", None)
    return found


# --- questions ---

class Question:
    def __init__(self, *words, **more):
        self.words, self.more = words, more

    def __repr__(self):
        return f"{type(self).__name__} {' '.join(map(str, self.words))} {self.more or ''}"


class Get(Question):
    """Get(path, node=..., ns=...): endpoints."""

    rpc, fold = "Get", staticmethod(endpoints)

    def ask(self, both, side):
        token = self.more.get("token") or json.dumps({"ns": self.more.get("ns", "default"), "nodeName": self.more.get("node", ""), "pod": "client"})
        request = messages()["destination"].GetDestination(scheme="k8s", path=self.words[0], context_token=token)
        stub = messages()["destination_grpc"].DestinationStub(both.channel(side, DESTINATION))
        return Call(getattr(stub, self.rpc)(request), self.fold, {})


class Profile(Get):
    rpc, fold = "GetProfile", staticmethod(replace)


class Port(Question):
    """Port(namespace, pod, port); a workload="..." stands for the first two."""

    def request(self):
        workload = self.more.get("workload") or json.dumps({"ns": self.words[0], "pod": self.words[1]})
        return messages()["inbound"].PortSpec(workload=workload, port=self.words[-1])

    def stub(self, both, side):
        return messages()["inbound_grpc"].InboundServerPoliciesStub(both.channel(side, POLICY))

    def ask(self, both, side):
        return Unary(self.stub(both, side).GetPort, self.request())


class Target(Question):
    """Target("10.96.0.1:80" or a name, ns=...): the outbound policy."""

    def request(self):
        return Controller.traffic_spec(self.words[0], self.more.get("ns", "default"))

    def stub(self, both, side):
        return messages()["outbound_grpc"].OutboundPoliciesStub(both.channel(side, POLICY))

    def ask(self, both, side):
        return Unary(self.stub(both, side).Get, self.request())
