/* Which side of the application the proxy stands on: before it (inbound) or behind it (outbound). */
#pragma once

enum direction { DIRECTION_INBOUND, DIRECTION_OUTBOUND };

/* As metrics have it: "inbound", "outbound". */
static inline const char *direction_name(enum direction direction)
{
    return direction == DIRECTION_INBOUND ? "inbound" : "outbound";
}
