#include "mesh/reason.h"

#include <errno.h>

/* gRPC status codes, as published with the protocol. */
enum {
    G_OK = 0,
    G_CANCELLED = 1,
    G_DEADLINE = 4,
    G_NOT_FOUND = 5,
    G_DENIED = 7,
    G_EXHAUSTED = 8,
    G_PRECONDITION = 9,
    G_ABORTED = 10,
    G_INTERNAL = 13,
    G_UNAVAILABLE = 14,
};

/* Answers by their status; closing ones and such that keep the connection. */
#define ENDED {0, G_UNAVAILABLE, true}
#define A400 {400, G_INTERNAL, true}
#define A403 {403, G_DENIED, false}
#define A404 {404, G_NOT_FOUND, false}
#define A408 {408, G_DEADLINE, true}
#define A414 {414, G_EXHAUSTED, true}
#define A431 {431, G_EXHAUSTED, true}
#define A500 {500, G_INTERNAL, true}
#define A500_KEPT {500, G_INTERNAL, false}
#define A502 {502, G_UNAVAILABLE, true}
#define A503 {503, G_UNAVAILABLE, true}
#define A504 {504, G_DEADLINE, true}
#define A504_KEPT {504, G_DEADLINE, false}
#define A505 {505, G_INTERNAL, true}
#define A508 {508, G_ABORTED, true}
#define BOTH(answer) {answer, answer}
#define LABEL(text) {text, text}
#define NO_LABEL {NULL, NULL}

static const struct reason_info rows[REASON_COUNT] = {
    [REASON_NONE] = {"none", {{200, G_OK, false}, {200, G_OK, false}}, NO_LABEL, NULL, "", "Nothing went wrong.",
                     "Nothing needs doing."},

    [REASON_DISCOVERY_UNAVAILABLE] =
        {"discovery-unavailable", BOTH(A504), LABEL("failfast"), "FAIL_FAST", "unexpected",
         "The proxy has never heard of this destination and could not ask the control plane about it in time.",
         "Check that the destination and policy services run and that the proxy can reach them: linkerd check."},
    [REASON_POLICY_UNKNOWN] =
        {"policy-unknown", BOTH(A503), LABEL("unexpected"), "UNKNOWN", "invalid_policy",
         "The port's policy has not arrived from the control plane, so that the proxy cannot know who may connect.",
         "Check the policy service and the workload name that the proxy presents to it: linkerd check."},
    [REASON_POLICY_INVALID] =
        {"policy-invalid", BOTH(A500), LABEL("unexpected"), "UNKNOWN", "invalid_policy",
         "The policy for this traffic holds something that this version of the proxy does not understand.",
         "Look at the proxy's log for the part it refused; bring proxy and control plane to the same version."},
    [REASON_BACKEND_INVALID] =
        {"backend-invalid", BOTH(A500), LABEL("unexpected"), "UNKNOWN", "invalid_backend",
         "The route chose a backend that its policy does not describe completely.",
         "Check the backendRefs of the route: names, namespaces, ports, and the route's status conditions."},
    [REASON_NO_BACKEND] =
        {"no-backend", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "invalid_backend",
         "The route that the request matched has no backend with a weight above zero.",
         "Give the route a backendRef with a weight."},
    [REASON_TOO_MANY_DESTINATIONS] =
        {"too-many-destinations", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "The proxy already follows as many destinations as it may, all of them in use.",
         "Find out why the application talks to so many addresses, or raise the limit (docs/limits.md)."},

    [REASON_NOT_AUTHORIZED] =
        {"not-authorized", BOTH(A403), NO_LABEL, NULL, "forbidden",
         "No authorization on this port or route covers the client's address and identity.",
         "Compare the client (address and identity are in the log) with the policies: linkerd diagnostics policy."},
    [REASON_AUTHORIZATION_REVOKED] =
        {"authorization-revoked", BOTH(A403), NO_LABEL, NULL, "forbidden",
         "The connection was allowed when it began and a newer policy does not allow it.",
         "Nothing, if the change of policy was meant; otherwise see not-authorized."},
    [REASON_ROUTE_NOT_FOUND] =
        {"route-not-found", BOTH(A404), NO_LABEL, NULL, "unexpected",
         "The port or destination has routes, and none matches the request.",
         "Add a route for the request; a route attached to a Server replaces the default that matches everything."},
    [REASON_ROUTE_FORBIDDEN] =
        {"route-forbidden", BOTH(A403), NO_LABEL, NULL, "forbidden",
         "The destination's policy forbids this traffic.",
         "Check that the port is one of the Service's, or that the EgressNetwork allows the destination."},
    [REASON_REDIRECTED] =
        {"redirected", {{301, G_NOT_FOUND, false}, {301, G_NOT_FOUND, false}}, NO_LABEL, NULL, "unexpected",
         "A filter of the route answers with a redirect.", "Nothing: the route asks for it."},
    [REASON_INJECTED_FAILURE] =
        {"injected-failure", {{500, G_PRECONDITION, false}, {500, G_PRECONDITION, false}}, NO_LABEL, NULL,
         "unexpected", "A filter of the route answers with a failure, with the status that it names.",
         "Look at the message: the control plane puts such a filter where a backendRef is invalid, too."},

    [REASON_IDENTITY_MISMATCH] =
        {"identity-mismatch", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The server proved another identity than the one that discovery names for its address.",
         "An address may have changed hands a moment ago; if it persists, look for a workload answering for another."},
    [REASON_IDENTITY_REQUIRED] =
        {"identity-required", BOTH(A502), {"unexpected", "identity required"}, "UNKNOWN", "unexpected",
         "The request demands a server identity (l5d-require-id) that the endpoint does not have.",
         "Check the demanded name, and that the endpoint is in the mesh."},
    [REASON_CLIENT_IDENTITY_REQUIRED] =
        {"client-identity-required", BOTH(A403), LABEL("unexpected"), "UNKNOWN", "forbidden",
         "The connection came to the proxy's own port without the mesh identity that is needed there.",
         "Let clients use the application's address; only proxies of the mesh connect to the proxy's port."},
    [REASON_IDENTITY_UNAVAILABLE] =
        {"identity-unavailable", BOTH(A503), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The proxy has no valid certificate of its own, so that it can neither offer nor accept mutual TLS.",
         "Check the identity service, the workload's token, and the clock: linkerd check."},
    [REASON_TLS_HANDSHAKE_FAILED] =
        {"tls-handshake-failed", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The TLS handshake with the peer failed.",
         "Look at the log for the alert; expired certificates, unlike trust anchors and clock skew are the usual causes."},
    [REASON_TLS_DETECT_TIMEOUT] =
        {"tls-detect-timeout", BOTH(ENDED), {"tls detection timeout", "unexpected"}, "UNKNOWN", "unexpected",
         "The client sent nothing, or half a TLS greeting, for as long as the proxy waits to learn the protocol.",
         "If the server is meant to speak first, mark the port opaque (config.linkerd.io/opaque-ports)."},

    [REASON_FAILFAST] =
        {"failfast", BOTH(A504), LABEL("failfast"), "FAIL_FAST", "unexpected",
         "The request waited in the queue until the proxy gave up on the destination: none of its endpoints is ready.",
         "See how many endpoints are known and why they are not ready: linkerd diagnostics endpoints, /connections."},
    [REASON_LOAD_SHED] =
        {"load-shed", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "The request arrived while none of the destination's endpoints had been ready for some time.",
         "See failfast; the destination is tried again as soon as an endpoint is ready."},
    [REASON_QUEUE_FULL] =
        {"queue-full", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "As many requests as the queue holds are waiting for an endpoint of the destination.",
         "The destination is slower than its clients; add endpoints or send less."},
    [REASON_IN_FLIGHT_LIMIT] =
        {"in-flight-limit", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "The proxy already has as many requests under way in this direction as it may.",
         "Find out what is slow, or raise the limit (docs/limits.md)."},
    [REASON_CONNECT_REFUSED] =
        {"connect-refused", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "Nothing listens on the address and port.",
         "Check that the application runs and listens on this port, on an address that can be reached."},
    [REASON_CONNECT_TIMEOUT] =
        {"connect-timeout", BOTH(A504), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The connection was not established in time.",
         "Check the network between the two, firewalls, and whether the host is up."},
    [REASON_CONNECT_FAILED] =
        {"connect-failed", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The connection could not be established; the log names the system's error.",
         "Check routes and addresses, and the system's error."},
    [REASON_LOOPBACK_ONLY_APP] =
        {"loopback-only-app", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The application listens on 127.0.0.1 only, where the proxy must not let others in.",
         "Let the application listen on 0.0.0.0, [::] or the workload's own address."},
    [REASON_LOOPBACK_TARGET] =
        {"loopback-target", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The destination is a loopback address, which the outbound proxy never dials.",
         "Check the destination's endpoints; local traffic is not redirected to the proxy."},
    [REASON_OVERRIDE_INVALID] =
        {"override-invalid", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "A request at a proxy in ingress mode has an l5d-dst-override that is no name and port.",
         "Have the ingress controller send the Service's full name and port: web.shop.svc.cluster.local:80."},
    [REASON_OVERRIDE_UNKNOWN] =
        {"override-unknown", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "A request at a proxy in ingress mode has an l5d-dst-override that the control plane knows nothing of.",
         "Correct the name in the ingress controller's configuration: a Service's full name and one of its ports."},
    [REASON_LOOP] =
        {"loop", BOTH(A508), LABEL("i/o"), "IO", "unexpected",
         "The proxy was asked to connect to itself.",
         "Connect to the application's port, not the proxy's; check the redirect rules: linkerd check."},
    [REASON_WRONG_ADDRESS] =
        {"wrong-address", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The connection was meant for an address that is not one of the workload's (LINKERD2_PROXY_INBOUND_IPS).",
         "Check the redirect rules and the list of addresses."},
    [REASON_NO_ORIGINAL_DST] =
        {"no-original-dst", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The system does not say where the connection was going before it was redirected.",
         "Check the redirect rules: linkerd-init; somebody may also have connected to the proxy's port directly."},

    [REASON_CONNECTION_LOST] =
        {"connection-lost", BOTH(A502), LABEL("i/o"), "IO", "unexpected",
         "The connection to the server ended before the response was complete.",
         "Look at the server's log: it crashed, restarted, or closed an idle connection just then."},
    [REASON_SERVER_RESET] =
        {"server-reset", BOTH(A502), LABEL("unexpected"), "RESET", "unexpected",
         "The server reset the stream.", "Look at the server's log; the HTTP/2 code is in ours."},
    [REASON_SERVER_REFUSED] =
        {"server-refused", BOTH(A502), LABEL("unexpected"), "REFUSED", "unexpected",
         "The server refused the stream without processing it.",
         "It is at its limit of streams or shutting down; the request may safely be sent again."},
    [REASON_SERVER_GOAWAY] =
        {"server-goaway", BOTH(A502), LABEL("unexpected"), "GO_AWAY", "unexpected",
         "The server ended the HTTP/2 connection with an error.",
         "Look at the server's log; the HTTP/2 code is in ours."},
    [REASON_BAD_RESPONSE] =
        {"bad-response", BOTH(A502), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The server's response is not well-formed, or its head is larger than the proxy accepts.",
         "Look at the detail in the log; correct the server."},

    [REASON_STALLED] =
        {"stalled", BOTH(A502), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "One side did not take what the other sent for too long, or too much of it was waiting in the proxy.",
         "Look at the side that does not read, or at what large answers are asked for at once (docs/limits.md)."},

    [REASON_CLIENT_GONE] =
        {"client-gone", {{0, G_CANCELLED, true}, {0, G_CANCELLED, true}}, LABEL("unexpected"), "CANCEL",
         "unexpected", "The client cancelled the request or closed its connection before the response was complete.",
         "Look at the client's own timeouts."},
    [REASON_BAD_REQUEST] =
        {"bad-request", BOTH(A400), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The request is not well-formed; the log says which rule it breaks.",
         "Correct the client; a request that two servers could read differently is never passed on."},
    [REASON_URI_TOO_LONG] =
        {"uri-too-long", BOTH(A414), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The request line is longer than the proxy accepts.", "Send large data in the body (docs/limits.md)."},
    [REASON_HEADERS_TOO_LARGE] =
        {"headers-too-large", BOTH(A431), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The header fields are larger or more than the proxy accepts.",
         "Look for growing cookies or tokens (docs/limits.md)."},
    [REASON_VERSION_UNSUPPORTED] =
        {"version-unsupported", BOTH(A505), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The request names a version of HTTP that the proxy does not speak.", "Use HTTP/1.0, HTTP/1.1 or HTTP/2."},
    [REASON_HEAD_TIMEOUT] =
        {"head-timeout", BOTH(A408), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The client began a request and did not finish its head in time.", "Look at the client or the network."},
    [REASON_PROTOCOL_MISMATCH] =
        {"protocol-mismatch", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The port's policy names a protocol, and the client speaks another.",
         "Correct the Server's proxyProtocol or the Service port's appProtocol."},
    [REASON_TRANSPORT_HEADER_INVALID] =
        {"transport-header-invalid", BOTH(ENDED), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "A peer on the proxy's own port did not send a valid transport header.",
         "Only proxies of the mesh connect there; bring both to the same version."},
    [REASON_FLOOD] =
        {"flood", {{0, G_EXHAUSTED, true}, {0, G_EXHAUSTED, true}}, LABEL("unexpected"), "ENHANCE_YOUR_CALM",
         "unexpected", "The peer sent more resets, pings or empty frames than a working one would.",
         "Find out who the peer is; its connection was closed."},

    [REASON_REQUEST_TIMEOUT] =
        {"request-timeout", BOTH(A504_KEPT), {"unexpected", "response timeout"}, "REQUEST_TIMEOUT", "unexpected",
         "The exchange took longer than the route's request timeout.",
         "Find out what is slow, or raise the route's timeout."},
    [REASON_RESPONSE_TIMEOUT] =
        {"response-timeout", BOTH(A504_KEPT), {"unexpected", "response timeout"}, "RESPONSE_STREAM_TIMEOUT", "unexpected",
         "The response was not complete within the route's response timeout after the request was.",
         "Find out what is slow, or raise the route's timeout."},
    [REASON_IDLE_TIMEOUT] =
        {"idle-timeout", BOTH(A504_KEPT), {"unexpected", "response timeout"}, "IDLE_TIMEOUT", "unexpected",
         "Neither side sent anything for the route's idle timeout.",
         "Send something now and then on long streams, or raise the route's timeout."},
    [REASON_PROFILE_TIMEOUT] =
        {"profile-timeout", BOTH(A504), {"unexpected", "response timeout"}, "REQUEST_TIMEOUT", "unexpected",
         "The response took longer than the ServiceProfile route's timeout.",
         "Find out what is slow, or raise the timeout in the ServiceProfile."},

    [REASON_PATTERN_LIMIT] =
        {"pattern-limit", BOTH(A500_KEPT), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "A regular expression of a route needs more work for this request than the proxy allows.",
         "Simplify the expression: nested repetition is the usual cause."},
    [REASON_OUT_OF_MEMORY] =
        {"out-of-memory", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "The proxy could not get memory within its limits.",
         "Look at the container's memory limit and at what the proxy holds: /metrics."},
    [REASON_OUT_OF_DESCRIPTORS] =
        {"out-of-descriptors", BOTH(A503), LABEL("loadshed"), "LOAD_SHED", "unexpected",
         "The proxy has no file descriptors left for another connection.",
         "Raise the limit of open files (ulimit -n, LimitNOFILE), or find who keeps connections open."},
    [REASON_SHUTTING_DOWN] =
        {"shutting-down", BOTH(A503), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The proxy's grace period for shutting down has ended.",
         "Nothing, if it was meant; otherwise lengthen LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD."},
    [REASON_INTERNAL] =
        {"internal", BOTH(A500), LABEL("unexpected"), "UNKNOWN", "unexpected",
         "The proxy met a state that it should not be in.", "Please report it with the proxy's log."},
};

const struct reason_info *reason_info(enum reason reason)
{
    return &rows[(unsigned)reason < REASON_COUNT ? reason : REASON_INTERNAL];
}

enum reason reason_find(struct slice name)
{
    for (unsigned i = 1; i < REASON_COUNT; i++)
        if (slice_eq(name, slice_str(rows[i].name)))
            return (enum reason)i;
    return REASON_NONE;
}

const char *reason_reset_label(uint32_t h2_code)
{
    switch (h2_code) { /* RFC 9113 section 7 */
    case 0x7: return "REFUSED";
    case 0x8: return "CANCEL";
    case 0xb: return "ENHANCE_YOUR_CALM";
    default: return "RESET";
    }
}

enum reason reason_of_connect(int error)
{
    switch (error) {
    case ECONNREFUSED: return REASON_CONNECT_REFUSED;
    case ETIMEDOUT: return REASON_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE: return REASON_OUT_OF_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS: return REASON_OUT_OF_MEMORY;
    default: return REASON_CONNECT_FAILED;
    }
}
