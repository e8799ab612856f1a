/*
 * Every limit of the data plane and the control plane, in one place. What is
 * named here bounds what a peer, a file or a slow reader can make us hold. A
 * limit that an operator may change names the variable or flag; the number is
 * its default. docs/limits.md explains each; a test compares the two.
 */
#pragma once

enum {
    /* HTTP heads */
    LIMIT_HTTP_START_LINE = 16 * 1024,   /* bytes; longer: 414 */
    LIMIT_HTTP_HEAD = 64 * 1024,         /* bytes of all fields of one head; more: 431 */
    LIMIT_HTTP_FIELDS = 128,             /* fields in one head; more: 431 */
    LIMIT_HTTP_CONNECTION_OPTIONS = 32,  /* members of Connection in one head; more: 400 */
    LIMIT_HTTP_CHUNK_LINE = 256,         /* size and extensions of one chunk */
    LIMIT_HTTP_TRAILERS = 16 * 1024,     /* bytes of a trailer section */
    LIMIT_HTTP_INTERIM = 16,             /* 1xx responses before the final one */
    LIMIT_PIPELINE_BYTES = 64 * 1024,    /* read ahead of the request being served */

    /* HTTP/2, RFC 9113; *_HTTP2_* variables change those that they name */
    LIMIT_H2_STREAMS = 1024,             /* SETTINGS_MAX_CONCURRENT_STREAMS that we announce */
    LIMIT_H2_FRAME = 16384,              /* SETTINGS_MAX_FRAME_SIZE that we announce */
    LIMIT_H2_HEADER_TABLE = 4096,        /* HPACK table, either side */
    LIMIT_H2_STREAM_WINDOW = 65535,
    LIMIT_H2_CONNECTION_WINDOW = 1048576,
    LIMIT_H2_KEPT = 32 * 1024 * 1024,    /* bytes of bodies that a worker keeps for slow readers; more: the slowest is reset */
    LIMIT_H2_CONTINUATIONS = 32,         /* frames of one header block */
    LIMIT_H2_RESETS = 200,               /* peer-caused resets in a window of 30 s before GOAWAY */
    LIMIT_H2_CONTROL_FRAMES = 1000,      /* PING, SETTINGS, empty DATA ... within 10 s */
    LIMIT_H2_OUT_CONTROL = 64 * 1024,    /* bytes of acknowledgements waiting for a peer that does not read */

    /* Detection (design: protocol detection) */
    LIMIT_CLIENT_HELLO = 16 * 1024,
    LIMIT_SERVER_FIRST = 1024,           /* connections of a worker opened early, in case the server speaks first */
    LIMIT_TRANSPORT_HEADER = 8 * 1024,

    /* Memory per connection, request, message */
    LIMIT_REQUEST_ARENA = 256 * 1024,
    LIMIT_BUFFER_PAGE = 16 * 1024,       /* a borrowed buffer */
    LIMIT_FORWARD_AHEAD = 256 * 1024,    /* bytes of opaque traffic read ahead of the other side, each direction */
    LIMIT_CONN_OUT = 256 * 1024,         /* bytes queued towards one connection before its sources pause */
    LIMIT_GRPC_MESSAGE = 4 * 1024 * 1024,
    LIMIT_PROTOBUF_DEPTH = 64,           /* messages inside messages */
    LIMIT_WORKLOAD_JSON = 4096,          /* bytes of a context token or workload */

    /* Discovery and caches */
    LIMIT_DESTINATIONS = 10000,          /* destinations cached by one proxy */
    LIMIT_PORT_POLICIES = 1000,          /* ports with a policy cached by one proxy */
    LIMIT_ENDPOINTS = 100000,            /* endpoints of one destination */
    LIMIT_ROUTES = 4096,                 /* routes of one policy */
    LIMIT_SNAPSHOT = 64 * 1024 * 1024,   /* bytes of one answer of the control plane, decoded */
    LIMIT_METRIC_SERIES = 50000,         /* series of one proxy; more: counted under overflow */
    LIMIT_BALANCER_SERIES = 10000,       /* balancers that a scrape shows */
    LIMIT_METRIC_LABEL = 512,            /* bytes of a label value; longer ones are cut */
    LIMIT_METRIC_LABEL_NAME = 128,       /* bytes of a label name made from outside text */
    LIMIT_METRIC_LABELS = 8192,          /* bytes of the labels of one series */
    LIMIT_PROC_TCP = 1024 * 1024,        /* bytes of the table of listening sockets that a drain reads */
    LIMIT_SUBSCRIBER_QUEUE = 100,        /* updates waiting for one control-plane subscriber */

    /* Identity and TLS */
    LIMIT_IDENTITY = 2048,               /* bytes of a name in a certificate (SPIFFE's own limit) */
    LIMIT_CERTIFICATE = 16 * 1024,       /* bytes of one certificate, DER */
    LIMIT_CERTIFICATES = 64,             /* certificates of a trust bundle or a chain */
    LIMIT_CHAIN_DEPTH = 4,               /* certificates between a leaf and its anchor */
    LIMIT_CSR = 16 * 1024,               /* bytes of a certificate signing request */
    LIMIT_PEM = 1024 * 1024,             /* bytes of a PEM file */
    LIMIT_TOKEN = 16 * 1024,             /* bytes of a workload token */
    LIMIT_TOKEN_KEYS = 64,               /* public keys that may sign tokens */
    LIMIT_TLS_HANDSHAKE = 128 * 1024,    /* bytes read from a peer before its handshake is done */
    LIMIT_TLS_OUT = 128 * 1024,          /* ciphertext waiting for a peer before writing pauses */
    LIMIT_TLS_IDLE_RECORDS = 32,         /* records of a peer (key updates, empty ones) without application data between them */

    /* Admin ports */
    LIMIT_ADMIN_CONNECTIONS = 64,
    LIMIT_GRPC_CONNECTIONS = 20000,      /* proxies connected to one control-plane component */
    LIMIT_FIRST_ANSWERS = 4 * 1024 * 1024, /* bytes of first answers that destination keeps for those who ask the same next */
    LIMIT_ADMIN_BODY = 4096,             /* of a request */
    LIMIT_ADMIN_ANSWER = 128 * 1024 * 1024, /* of metrics with all series that there can be */

    /* Descriptors, of those that the system allows (ulimit -n) */
    LIMIT_DESCRIPTORS_KEPT = 96,         /* kept for the control plane and the admin port; at most a quarter of all */
    LIMIT_DESCRIPTORS_DIALS = 256,       /* kept for what accepted connections need: accepting stops before; at most a quarter */

    /* DNS of the cluster domain */
    LIMIT_DNS_CONNECTIONS = 64,          /* of TCP; a new one takes the place of the one idle longest */
    LIMIT_DNS_QUESTION = 4096,           /* bytes of one question over TCP */

    /* Programs that are run (iptables-save, iptables-restore) */
    LIMIT_COMMAND_OUTPUT = 16 * 1024 * 1024, /* bytes kept of what one prints; a node's whole nat table fits */
    LIMIT_COMMAND_ERRORS = 4096,             /* bytes kept of its complaints */
    LIMIT_PORT_LIST = 65536,                 /* entries of one list of ports or networks on a command line */

    /* The CNI plugin */
    LIMIT_CNI_CONFIG = 1024 * 1024,          /* bytes of one network configuration */
    LIMIT_CNI_PLUGINS = 64,                  /* entries of one network's list of plugins */
    LIMIT_CNI_FILES = 256,                   /* network configurations of one node */
    LIMIT_CNI_PROGRAM = 64 * 1024 * 1024,    /* bytes of the plugin as it is copied to the node */
    LIMIT_CNI_REPAIRS = 256,                 /* pods of one node without rules that wait for their eviction */
    LIMIT_CNI_TAINTED = 20000,               /* nodes that wait for the plugin */

    /* Configuration files */
    LIMIT_YAML_FILE = 16 * 1024 * 1024,
    LIMIT_YAML_DEPTH = 100,
    LIMIT_YAML_ALIASES = 1000,
    LIMIT_YAML_NODES = 1000000,          /* nodes of one document, aliases written out */
    LIMIT_SOURCE_FILES = 10000,          /* files of a source directory */
    LIMIT_SOURCE_REPORTS = 20,           /* complaints about one document; more are only counted */
    LIMIT_API_OBJECT = 8 * 1024 * 1024,  /* bytes that one object from an API server takes while it is decoded */
    LIMIT_API_TEXT = 2 * 1024 * 1024,    /* bytes of one text in it; etcd takes requests of 1.5 MiB */
    LIMIT_API_ANSWER = 4 * 1024 * 1024,  /* bytes of an API server's answer that is not a list or a watch */
    LIMIT_API_CALLS = 1024,              /* requests to one API server that run or wait */
    LIMIT_API_CONNECTIONS = 64,          /* to one API server */
    LIMIT_LOGS_CONTAINERS = 512,         /* containers whose logs are followed at once */
    LIMIT_LOGS_LINE = 256 * 1024,        /* bytes of a line of theirs; a longer one is printed in pieces */
    LIMIT_EVENTS = 256,                  /* Kubernetes Events that wait to be written, or are known in order to count equal ones */
    LIMIT_EVENT_MESSAGE = 1024,          /* bytes of the message of one */
    LIMIT_WRITER_QUEUE = 10000,          /* objects that may have to be written (status, slices); beyond it, all are looked at */
    LIMIT_WRITER_CALLS = 4,              /* of them that are read or written at once */
    LIMIT_WRITER_RATE = 50,              /* of them begun in a second */
    LIMIT_KUBECONFIG = 16 * 1024 * 1024, /* bytes of kubeconfig files, and of what was read of them */
    LIMIT_API_GROUPS = 16,               /* groups to come as (impersonation) */
    LIMIT_API_EXTRAS = 32,               /* values of further attributes to come with (impersonation) */
    LIMIT_TUNNEL = 16 * 1024,            /* bytes of a forward proxy's URL, of what is said to it, and of its answer */
    LIMIT_EXEC_OUTPUT = 1024 * 1024,     /* bytes that a credential plug-in prints */
    LIMIT_EXEC_INFO = 120 * 1024,        /* bytes of what it is told; Linux takes 128 KiB in one variable */
    LIMIT_EXEC_ARENA = 16 * 1024 * 1024, /* bytes of its credential, read, and of its arguments */
    LIMIT_EXEC_WORDS = 256,              /* its arguments, and its variables */
    LIMIT_STORE_OBJECTS = 1000000,       /* objects of all kinds in the control plane's store */
    LIMIT_OBJECT_ARENA = 32 * 1024 * 1024, /* bytes of one object */

    /* Chart templates */
    LIMIT_TEMPLATE_FILE = 1024 * 1024,   /* bytes of one file, and of one text in it */
    LIMIT_TEMPLATE_SET = 64 * 1024 * 1024, /* bytes of a chart's files, read */
    LIMIT_TEMPLATE_DEPTH = 64,           /* blocks, parentheses, includes within one another */
    LIMIT_TEMPLATE_OUTPUT = 16 * 1024 * 1024, /* bytes that one file renders to */
    LIMIT_TEMPLATE_VALUES = 64 * 1024 * 1024, /* bytes of values made while rendering one file */
    LIMIT_TEMPLATE_STEPS = 1000000,      /* nodes and calls of one rendering */

    /* Injection */
    LIMIT_INJECT_WARNINGS = 20,          /* about one workload; what is beyond them is only counted */
    LIMIT_INJECT_WARNING = 256,          /* bytes of one; an API server cuts longer ones */
    LIMIT_INJECTOR_OWNERS = 256,         /* Deployments whose uid the injector remembers, for Events */
    LIMIT_INJECT_TEXT = 1024,            /* bytes of an annotation that becomes an argument or a variable */
    LIMIT_INJECT_ENV = 64,               /* variables that annotations add to a proxy */
    LIMIT_INJECT_PORTS = 256,            /* ports and ranges in one annotation, and ports of a pod */
    LIMIT_INJECT_RENDERED = 16,          /* kinds of pods whose containers an injector remembers */
    LIMIT_INJECT_RENDERED_BYTES = 32 * 1024, /* of what one kind is told from; larger ones are rendered each time */
    LIMIT_URL = 8192,                    /* bytes of an address that linkerd inject reads from */
    LIMIT_REDIRECTIONS = 10,             /* that it follows */
    LIMIT_INJECT_INPUT = 256 * 1024 * 1024, /* bytes that linkerd inject reads, and bytes that it prints */
    LIMIT_INJECT_ARENA = 512 * 1024 * 1024, /* bytes of one document of it, read */
    LIMIT_INJECT_FILES = 10000,          /* files of a folder that it is given */
    LIMIT_ADMISSION = 4 * 1024 * 1024,   /* bytes of one admission review; etcd takes objects of 1.5 MiB */

    /* Validation */
    LIMIT_VALIDATE_MESSAGE = 16 * 1024,  /* bytes of why an object is refused */
    LIMIT_VALIDATE_PATTERNS = 4096,      /* patterns of one object that are compiled; more: not looked at, with a warning */
    LIMIT_VALIDATE_PAIRS = 1000000,      /* pods times Servers that are compared to find out whether two Servers select the same */

    /* Webhooks */
    LIMIT_WEBHOOK_CONNECTIONS = 256,     /* of API servers to one webhook */
    LIMIT_WEBHOOK_REQUESTS = 512,        /* that come in, wait for something or are answered; more: 503 */
    LIMIT_WEBHOOK_BYTES = 64 * 1024 * 1024, /* of bodies of all of them; more: 503 */

    /* Regular expressions */
    LIMIT_REGEX_LENGTH = 4096,
    LIMIT_REGEX_MATCH = 100000,          /* PCRE2 match limit */
    LIMIT_REGEX_DEPTH = 1000,
    LIMIT_REGEX_HEAP_KIB = 256,          /* PCRE2 heap limit of one match, KiB */
    LIMIT_REGEX_PARENS = 50              /* groups within groups */
};
