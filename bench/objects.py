"""The mesh of bench/control.py, written straight into etcd: namespaces, nodes, Services, and the EndpointSlices and Pods behind them.

    objects.py SERVICES ENDPOINTS POD.json      inside the control plane's network namespace

POD.json is a Pod as `linkerd inject --manual` makes one; each Pod here is that one with names, addresses and a status of its
own. The API server reads JSON from etcd as well as its own encoding. A hundred thousand Pods take etcd half a minute this way, and
the API server's own path (a POST and a PATCH each) twenty times as long.
"""

import base64
import copy
import http.client
import ipaddress
import json
import sys

NODES, NAMESPACES, ZONES = 100, 10, ("a", "b", "c")
FRONT = 180  # endpoints of the Service that all subscribers watch
SLICE = 100  # endpoints of one EndpointSlice, as Kubernetes' controller has it
CREATED = "2026-01-01T00:00:00Z"
_POD_NET, _SERVICE_NET = int(ipaddress.ip_address("10.128.0.0")), int(ipaddress.ip_address("10.96.1.0"))


def uid(number):
    return f"00000000-0000-4000-8000-{number:012x}"


def node_of(number):
    return f"node-{number % NODES}"


def zone_of(number):
    return ZONES[number % NODES % len(ZONES)]


def pod_ip(number):
    return str(ipaddress.ip_address(_POD_NET + number))


def condition(kind, value="True"):
    return {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": CREATED}


def meta(name, namespace, number, **more):
    return {"name": name, "namespace": namespace, "uid": uid(number), "creationTimestamp": CREATED, **more}


def pod(template, namespace, app, number, index, ready=True):
    """Number `index` of the application; `number` is its own in the whole mesh."""
    made = json.loads(template) if isinstance(template, str) else copy.deepcopy(template)
    source = made["metadata"]
    name, token = f"{app}-6d4cf56db6-{index:05x}", f"kube-api-access-{number:05x}"
    labels = {**source.get("labels", {}), "app": app, "pod-template-hash": "6d4cf56db6"}
    made["metadata"] = meta(name, namespace, number, labels=labels, annotations=source.get("annotations", {}),
                            generateName=f"{app}-6d4cf56db6-", ownerReferences=[
                                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-6d4cf56db6", "uid": uid(0), "controller": True,
                                 "blockOwnerDeletion": True}])
    spec = made["spec"]
    spec.update(nodeName=node_of(number), serviceAccountName=app, serviceAccount=app, restartPolicy="Always")
    spec.setdefault("volumes", []).append({"name": token, "emptyDir": {}})
    for container in spec["containers"] + spec.get("initContainers", []):
        container.setdefault("volumeMounts", []).append({"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True})
    state = "True" if ready else "False"
    made["status"] = {
        "phase": "Running", "hostIP": f"192.168.1.{number % NODES + 1}", "podIP": pod_ip(number), "podIPs": [{"ip": pod_ip(number)}],
        "qosClass": "Burstable", "startTime": CREATED,
        "conditions": [condition("PodReadyToStartContainers"), condition("Initialized"), condition("Ready", state),
                       condition("ContainersReady", state), condition("PodScheduled")],
        "containerStatuses": [{"name": each["name"], "image": each["image"], "imageID": f"{each['image']}@sha256:{number:064x}",
                               "containerID": f"containerd://{number:064x}", "ready": ready, "restartCount": 0, "started": True,
                               "state": {"running": {"startedAt": CREATED}}} for each in spec["containers"]]}
    return made


def endpoint(namespace, app, number, index, ready=True):
    return {"addresses": [pod_ip(number)], "conditions": {"ready": ready, "serving": ready, "terminating": False}, "nodeName": node_of(number),
            "zone": zone_of(number), "targetRef": {"kind": "Pod", "namespace": namespace, "name": f"{app}-6d4cf56db6-{index:05x}",
                                                   "uid": uid(number)}}


def endpoint_slice(namespace, app, number, endpoints):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": meta(f"{app}-{number:05x}", namespace, number, labels={"kubernetes.io/service-name": app, "app": app}),
            "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def service(namespace, app, number):
    ip = str(ipaddress.ip_address(_SERVICE_NET + number))
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(app, namespace, number),
            "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                     "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "selector": {"app": app},
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}}


def allocated(namespace, app, ip):
    """Who has the address of a Service, as the API server notes it; it would note each when it starts, and give up after a minute."""
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {
        "name": ip, "creationTimestamp": CREATED, "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4",
                                                             "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": app}}}


def application(template, namespace, app, number, first, count):
    """A Service with `count` Pods, numbers from `first` on."""
    made = service(namespace, app, number)
    yield f"services/specs/{namespace}/{app}", made
    yield f"ipaddresses/{made['spec']['clusterIP']}", allocated(namespace, app, made["spec"]["clusterIP"])
    for at in range(0, count, SLICE):
        some = range(at, min(count, at + SLICE))
        name = f"{app}-{first + at:05x}"
        yield f"endpointslices/{namespace}/{name}", endpoint_slice(namespace, app, first + at, [
            endpoint(namespace, app, first + index, index) for index in some])
    for index in range(count):
        made = pod(template, namespace, app, first + index, index)
        yield f"pods/{namespace}/{made['metadata']['name']}", made


def everything(template, services, endpoints):
    for name in ["front", *(f"ns-{number}" for number in range(NAMESPACES))]:
        yield f"namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "uid": uid(1), "creationTimestamp": CREATED, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    for number in range(NODES):
        yield f"minions/{node_of(number)}", {"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": node_of(number), "uid": uid(number), "creationTimestamp": CREATED, "labels": {"topology.kubernetes.io/zone": zone_of(number)}}}
    yield "serviceaccounts/front/front", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("front", "front", 2)}
    yield from application(template, "front", "front", 0, 0, FRONT)
    each = max(1, (endpoints - FRONT) // services)
    for number in range(services):
        yield from application(template, f"ns-{number % NAMESPACES}", f"svc-{number}", number + 1, FRONT + number * each, each)


class Etcd:
    AT_ONCE = 100  # etcd takes 128 operations in a transaction

    def __init__(self):
        self.connection, self.pending = http.client.HTTPConnection("127.0.0.1", 2379, timeout=60), []

    def put(self, key, value):
        encode = lambda data: base64.b64encode(data).decode()  # noqa: E731
        self.pending.append({"requestPut": {"key": encode(b"/registry/" + key.encode()),
                                            "value": encode(json.dumps(value, separators=(",", ":")).encode())}})
        if len(self.pending) == self.AT_ONCE:
            self.flush()

    def flush(self):
        self.connection.request("POST", "/v3/kv/txn", json.dumps({"success": self.pending}))
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"objects: etcd: {answer.status} {text[:300]}")
        self.pending = []


def main():
    services, endpoints, template = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3]).read()  # read anew for each: quicker than a copy
    etcd, count = Etcd(), 0
    for key, value in everything(template, services, endpoints):
        etcd.put(key, value)
        count += 1
    etcd.flush()
    print(f"written {count}", flush=True)


if __name__ == "__main__":
    main()
