"""Our destination and policy components beside Linkerd's, at one Kubernetes API, asked the same: the answers are equal.

What is meant to differ stands in MEANT, each with its reason; anything else fails.
"""

import contextlib
import json
import subprocess
import tempfile

import pytest
import yaml

from lib import netns
from lib.both import Both, Get, Port, Profile, Target
from lib.proc import Programs
from peers import scenes_destination, scenes_policy

SCENES = [*scenes_destination.SCENES, *scenes_policy.SCENES]


# --- what is meant to differ ---

def no_zone(question, ours, theirs):
    """The zone of a pod that was asked for by its address: ours says that of its node, theirs none."""
    return drop(ours, "endpoint", "metric_labels", "zone"), drop(theirs, "endpoint", "metric_labels", "zone")


def no_profile(question, ours, theirs):
    """Where there is no ServiceProfile, theirs refers to one without kind and name."""
    reference = theirs.get("profile_ref", {}).get("resource", {}) if isinstance(theirs, dict) else {}
    return ours, theirs if reference != {"group": "linkerd.io"} else drop(theirs, "profile_ref")


def kind_of_profile(question, ours, theirs):
    """Theirs leaves out the kind of the ServiceProfile that it refers to."""
    return drop(ours, "profile_ref", "resource", "kind"), drop(theirs, "profile_ref", "resource", "kind")


def range_with_one_end(question, ours, theirs):
    """Of responses with a status of at least (or at most) something, ours says that one status; theirs a range that proxies drop."""
    def one_end(thing):
        if isinstance(thing, list):
            return [one_end(each) for each in thing]
        if not isinstance(thing, dict):
            return thing
        if set(thing) == {"min", "max"} and thing["min"] == thing["max"]:
            return {"min": thing["min"]}
        return {key: one_end(value) for key, value in thing.items()}

    return one_end(ours), one_end(theirs)


def nothing_said(question, ours, theirs):
    """Timeouts without a timeout, an RPC of any name: theirs sends them empty, ours not, or the other way round."""
    def without(thing):
        if isinstance(thing, list):
            return [without(each) for each in thing]
        if not isinstance(thing, dict):
            return thing
        return {key: without(value) for key, value in thing.items() if not (key in ("timeouts", "rpc") and not value)}

    return without(ours), without(theirs)


def port_of_two_protocols(question, ours, theirs):
    """Of two ports with one number, ours takes the one that is TCP, theirs the first."""
    if isinstance(question, Get) and question.words[0] == "many.ports.svc.cluster.local:53":
        theirs = {address.replace(" 53", " 5353"): value for address, value in theirs.items()}
    return ours, theirs


def own_words(question, ours, theirs):
    """What a proxy answers where traffic cannot go: in words of our own, with the same share of requests (all), and for gRPC with a
    code of gRPC where theirs sends a status of HTTP."""
    def without(thing):
        if isinstance(thing, list):
            return [without(each) for each in thing]
        if not isinstance(thing, dict):
            return thing
        if "failure_injector" in thing:
            return {"failure_injector": {key: value for key, value in thing["failure_injector"].items() if key == "status"}}
        return {key: without(value) for key, value in thing.items()}

    return without(ours), without(theirs)


def name_of_nothing(question, ours, theirs):
    """A Service that is not there, or not the port, is refused by name as by address; theirs makes a policy for any name."""
    if not isinstance(question, Target) or not question.words[0][0].isalpha() or not isinstance(theirs, dict):
        return ours, theirs
    path = theirs["metadata"].get("resource", {})
    refused = ours == "NOT_FOUND" or (isinstance(ours, dict) and "'undefined-port'" in str(ours) and ours["metadata"]["resource"] == path)
    return ours, ours if refused else theirs


def consumers_replace(question, ours, theirs):
    """Routes of the client's namespace take the place of those of the Service's, as the Gateway API has it; theirs puts them together."""
    if not isinstance(question, Target) or question.more.get("ns") != "out-consumer" or not isinstance(theirs, dict):
        return ours, theirs
    theirs = json.loads(json.dumps(theirs))
    for protocol in theirs["protocol"].get("detect", {}).values():
        if isinstance(protocol, dict) and "routes" in protocol:
            own = [each for each in protocol["routes"] if each["metadata"].get("resource", {}).get("namespace") != "out-producer"]
            protocol["routes"] = own or protocol["routes"]
    return ours, theirs


def opaque_by_default(question, ours, theirs):
    """Default opaque ports count for workloads without the annotation, which the injector writes; theirs has them for clients only."""
    if isinstance(question, Port) and question.words[-1] == 3306 and isinstance(ours, dict) and isinstance(theirs, dict):
        routes = theirs["protocol"].get("detect", {}).get("http_routes", [])
        if ours["protocol"] == {"opaque": {}} and routes and "default" in routes[0]["metadata"]:
            return drop(ours, "protocol"), drop(theirs, "protocol")
    return ours, theirs


SERVED = [text for n in (1, 2, 3, 4, 6) for text in (f"10.88.9.{n}:3306", f"s{n}.opaque-servers.svc.cluster.local:3306")]


def server_says(question, ours, theirs):
    """A Server decides whether its port is opaque; in theirs it may add to the annotation and the default ports, not take from them."""
    def not_opaque(thing):
        if not isinstance(thing, dict):
            return thing
        return {key: {"h2": {}} if key == "protocol_hint" and "opaque" in value else not_opaque(value) for key, value in thing.items()}

    return (ours, not_opaque(drop(theirs, "opaque_protocol"))) if question.words[0] in SERVED else (ours, theirs)


def undeclared_port(question, ours, theirs):
    """An ExternalWorkload has its identity on every port; theirs knows it on those that it declares, and would send others in clear."""
    if isinstance(question, Profile) and question.words[0].startswith("192.0.3.") and all("endpoint" in each for each in (ours, theirs)):
        if "tls_identity" in ours["endpoint"] and set(theirs["endpoint"]) == {"addr", "weight"} and ours["endpoint"]["addr"] == theirs["endpoint"]["addr"]:
            return [drop(drop(each, "endpoint"), "opaque_protocol") for each in (ours, theirs)]
    return ours, theirs


def owner_in_lower_case(question, ours, theirs):
    """The label of a workload's owner is in lower case however it was asked for; theirs keeps the case of the kind for addresses."""
    def lower(answer):
        labels = answer.get("endpoint", {}).get("metric_labels", {}) if isinstance(answer, dict) else {}
        return {**answer, "endpoint": {**answer["endpoint"], "metric_labels": {key.lower(): value for key, value in labels.items()}}} if labels else answer

    return lower(ours), lower(theirs)


def names_of_ports(question, ours, theirs):
    """Annotations of pods may name ports by name in policies too; theirs reads names for clients only."""
    named = isinstance(question, Port) and question.words[:2] in (("defaults", "identity-name"), ("defaults", "opaque-name")) and isinstance(theirs, dict)
    return ours, ours if named and question.words[2] == 8080 else theirs


def pods_without_proxy(question, ours, theirs):
    """The policy of a pod that has no proxy, which nobody asks for: ours has one."""
    return ours, ours if isinstance(question, Port) and question.words[:2] == ("defaults", "plain") and theirs == "NOT_FOUND" else theirs


def shared_networks(question, ours, theirs):
    """The shared EgressNetworks count where none of the client's namespace has the address; in theirs, where there is none at all there."""
    own = isinstance(question, Target) and question.more.get("ns") == "out-egress" and isinstance(ours, dict) and isinstance(theirs, dict)
    shared = own and ours["metadata"].get("resource", {}).get("namespace") == "linkerd-egress"
    return ours, ours if shared and theirs["metadata"] == {"default": "egress-fallback"} else theirs


def unknown_is_not_found(question, ours, theirs):
    """The profile of a Service that is not there: NotFound, as Get says it, not Unknown."""
    return ours, "NOT_FOUND" if (ours, theirs) == ("NOT_FOUND", "UNKNOWN") else theirs


MEANT = [no_zone, no_profile, kind_of_profile, range_with_one_end, nothing_said, port_of_two_protocols, unknown_is_not_found, own_words,
         name_of_nothing, consumers_replace, opaque_by_default, server_says, undeclared_port,
         owner_in_lower_case, names_of_ports, pods_without_proxy, shared_networks]


def drop(answer, *path):
    """The answer without the value at a path, where there is one."""
    if not isinstance(answer, dict) or path[0] not in answer:
        return answer
    if len(path) == 1:
        return {key: value for key, value in answer.items() if key != path[0]}
    return {**answer, path[0]: drop(answer[path[0]], *path[1:])}


def meant(question, ours, theirs):
    for each in MEANT:
        ours, theirs = each(question, ours, theirs)
    return ours, theirs


@pytest.fixture(scope="module")
def both(binaries, tmp_path_factory):
    if not netns.available():
        pytest.skip("making network namespaces needs root")
    with contextlib.ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clinkerd-both-"))
        network = cleanup.enter_context(netns.Network())
        programs = Programs(tmp_path_factory.mktemp("both"))
        cleanup.callback(programs.close)
        printed = subprocess.run([binaries["linkerd"], "install", "--crds", "--ignore-cluster"], capture_output=True, text=True, check=True, timeout=60)
        both = Both(binaries, programs, network, folder, [each for each in yaml.safe_load_all(printed.stdout) if each])
        cleanup.callback(both.close)
        both.apply(*scenes_destination.NODES, deployment())
        both.questions = {}
        for scene in SCENES:
            things, both.questions[scene] = scene()
            both.apply(*things)
        yield both.start()


def deployment():
    """Which Linkerd's policy controller looks for."""
    labels = {"matchLabels": {"a": "b"}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "linkerd-destination", "namespace": "linkerd"},
            "spec": {"selector": labels, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.__module__.rpartition('_')[2]}-{scene.__name__}")
def test_same_answers(both, scene):
    both.compare(both.questions[scene], meant)
