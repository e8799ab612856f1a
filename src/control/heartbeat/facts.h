/* What a heartbeat tells: names with values, and how answers are read for them. Pure. */
#pragma once

#include "base/buffer.h"

enum { FACTS_MAX = 64, FACT_NAME_MAX = 80, FACT_VALUE_MAX = 128 };

struct fact {
    char name[FACT_NAME_MAX], value[FACT_VALUE_MAX];
};

/* By name. All zero is empty. */
struct facts {
    struct fact items[FACTS_MAX];
    unsigned count;
};

/* One that does not fit, or that there is already, is left out. */
void facts_add(struct facts *facts, const char *name, struct slice value);
/* "a=1&b=x%20y". */
void facts_query(const struct facts *facts, struct buffer *out);
/* Text inside a query: letters, digits and -._~ as they are. */
void facts_escape(struct buffer *out, struct slice text);

/* Answers of an API server. False: nothing of what was expected is in it. */
bool facts_read_config(struct facts *facts, struct slice answer);
bool facts_read_version(struct facts *facts, struct slice answer);
bool facts_read_extensions(struct facts *facts, struct slice answer);
bool facts_read_profiles(struct facts *facts, struct slice answer);
/* Of Prometheus: one number, told with so many digits behind the point. */
bool facts_read_number(struct facts *facts, const char *name, int digits, struct slice answer);
