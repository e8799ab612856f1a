/*
 * What writers of objects count (control/writer.h): control_writes_total{writer,verb}, control_write_errors_total{writer,verb,reason}, the gauges
 * control_writer_leader{writer} and control_writer_queue{writer}; and of Events (kube/event_sink.h) control_events_total{component,result}.
 */
#pragma once

#include "control/writer.h"
#include "kube/event_sink.h"

enum writer_failure {
    WRITER_CONFLICT,    /* 409: it had changed */
    WRITER_GONE,        /* 404 */
    WRITER_REFUSED,     /* 403, 422, ... */
    WRITER_UNAVAILABLE, /* no answer, 401, 429, 5xx */
    WRITER_FAILURES
};

struct writer_meter {
    struct controller *controller;
    const char *label;
    struct metric *leader, *queue;
    struct metric *written[WRITER_VERBS];
    struct metric *failed[WRITER_VERBS][WRITER_FAILURES]; /* NULL: none yet */
};

const char *writer_verb_name(enum writer_verb verb);
void writer_meter_init(struct writer_meter *meter, struct controller *controller, const char *label);
void writer_meter_release(struct writer_meter *meter);
void writer_meter_count(struct writer_meter *meter, enum writer_verb verb, const struct api_answer *answer);
void writer_meter_leader(struct writer_meter *meter, bool held);
void writer_meter_queue(struct writer_meter *meter, size_t count);

struct event_meter {
    struct metric *written, *dropped; /* NULL: not begun */
    struct event_sink_counts told;
};

/* For a scrape: what a sink has counted, as the component's. The meter begins all zero. */
void event_meter_count(struct event_meter *meter, struct controller *controller, const char *component, struct event_sink_counts counts);
void event_meter_release(struct event_meter *meter);
