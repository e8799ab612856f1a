"""Kubernetes resources as Python objects, in the few forms that tests need."""


def meta(name, namespace="default", labels=None, annotations=None):
    found = {"name": name, "namespace": namespace}
    if labels:
        found["labels"] = labels
    if annotations:
        found["annotations"] = annotations
    return found


def service(name="web", ip="10.99.0.1", ports=((80, 8080),), namespace="default", selector=None, annotations=None, **spec):
    items = [port if isinstance(port, dict) else {"name": f"p{port[0]}", "port": port[0], "targetPort": port[1]} for port in ports]
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, namespace, annotations=annotations),
            "spec": {"clusterIP": ip, "selector": selector or {"app": name}, "ports": items, **spec}}


def pod(name="web-0", ip="10.1.0.1", app="web", namespace="default", meshed=True, annotations=None, labels=None, ports=(), **spec):
    mesh = {"linkerd.io/control-plane-ns": "linkerd"} if meshed else {}
    container = {"name": "app", "ports": [{"name": key, "containerPort": value} for key, value in ports], **spec.pop("container", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, namespace, {"app": app, **mesh, **(labels or {})}, annotations),
            "spec": {"serviceAccountName": app, "nodeName": "node-1", "containers": [container], **spec},
            "status": {"phase": "Running", "podIP": ip}}


def policy(kind, name, version, spec, namespace="default", labels=None):
    return {"apiVersion": f"policy.linkerd.io/{version}", "kind": kind, "metadata": meta(name, namespace, labels), "spec": spec}


def server(name="web-http", port=8080, app="web", namespace="default", labels=None, **spec):
    return policy("Server", name, "v1beta3", {"podSelector": {"matchLabels": {"app": app}}, "port": port, **spec}, namespace, labels)


def route(name, parent, rules, kind="HTTPRoute", namespace="default", hostnames=None, parent_kind="Server",
          group="policy.linkerd.io", version="gateway.networking.k8s.io/v1", **parent_more):
    spec = {"parentRefs": [{"group": group, "kind": parent_kind, "name": parent, **parent_more}], "rules": rules}
    if hostnames:
        spec["hostnames"] = hostnames
    return {"apiVersion": version, "kind": kind, "metadata": meta(name, namespace), "spec": spec}
