/*
 * Our entry in the network that the runtime of a node uses: the first of the *.conf, *.conflist and *.json of its directory, by
 * name, that can be read. Only that one has it.
 *
 * A single configuration, 10-x.conf, becomes 10-x.conflist with it inside; the original goes on as 10-x.conf.linkerd-cni,
 * which runtimes do not read, and comes back when the entry is removed. Each step can be the last: what is found then is
 * understood and finished by the next call.
 *
 * Broken files, symbolic links and what else is not understood are left alone; the next file counts, and problems say so. Others who
 * remove the entry again and again get it back more and more slowly: NETWORK_CALM_NS after the last time the count begins
 * anew, and the wait is never longer than NETWORK_SLOWEST_NS.
 */
#pragma once

#include "base/duration.h"
#include "cni/folder.h"

#define NETWORK_CALM_NS (60 * NS_PER_S)
#define NETWORK_SLOWEST_NS (30 * NS_PER_S)

struct network {
    unsigned writes;     /* of the entry, since it was calm */
    int64_t written_ns;  /* the last of them */
    int64_t not_before_ns;
};

enum network_state {
    NETWORK_NONE,    /* there is no file that can take the entry */
    NETWORK_IS_THERE, /* it has it, and had it before */
    NETWORK_WRITTEN, /* it has it now */
    NETWORK_WAITS,   /* others have removed it once more: try again at not_before_ns */
};

/*
 * Problems get a line each, with the file and what to do. 0, or a negative errno with a sentence; -ESTALE: others have written
 * at the same time, try again.
 */
int network_apply(struct network *network, const struct folder *folder, struct slice entry, int64_t now_ns,
                  struct buffer *problems, enum network_state *ret_state, struct errmsg *msg);
/*
 * All files as they would be without us. *ret_changed: there was something to do. -EBUSY: a file that cannot be read
 * names linkerd-cni, so it is not certain that the runtime does not call it any more.
 */
int network_revert(const struct folder *folder, struct buffer *problems, bool *ret_changed, struct errmsg *msg);
