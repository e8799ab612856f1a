#include "cni/network.h"

#include <errno.h>
#include <limits.h>

#include "cni/conflist.h"

#define KEPT ".linkerd-cni" /* behind the name of an original */
#define TEXT_MAX (2 * LIMIT_CNI_CONFIG)

/* One call of us. */
struct work {
    struct network *network;
    const struct folder *folder;
    struct slice entry;
    int64_t now_ns;
    struct buffer *problems;
    struct errmsg *msg;
};

static bool is_list(struct slice name)
{
    return slice_ends(name, SLICE_LIT(".conflist"));
}

static bool is_network(struct slice name)
{
    return is_list(name) || slice_ends(name, SLICE_LIT(".conf")) || slice_ends(name, SLICE_LIT(".json"));
}

static void problem(struct work *work, const char *name, const char *what, const char *why)
{
    buffer_printf(work->problems, "%s/%s %s: %s\n", work->folder->path, name, what, why);
}

/* What a file holds; the buffer is to be released in any case. */
static int load(struct work *work, const char *name, struct buffer *ret_text, struct stat *ret_status)
{
    buffer_init(ret_text, TEXT_MAX);
    return folder_read(work->folder, name, ret_text, ret_status, work->msg);
}

/* The entry is about to be written: not too often. */
static bool must_wait(const struct work *work)
{
    return work->now_ns < work->network->not_before_ns;
}

static void count_write(struct work *work)
{
    struct network *network = work->network;
    int64_t wait = 0;

    if (network->writes && work->now_ns - network->written_ns > NETWORK_CALM_NS)
        network->writes = 0;
    if (network->writes)
        wait = network->writes < 6 ? NS_PER_S << (network->writes - 1) : NETWORK_SLOWEST_NS;
    if (network->writes < 6)
        network->writes++;
    network->written_ns = work->now_ns;
    network->not_before_ns = work->now_ns + wait;
}

/* --- lists --- */

static int put(struct work *work, const char *name, struct slice text, const struct stat *read, mode_t mode, enum network_state *ret_state)
{
    int r;

    if (must_wait(work)) {
        *ret_state = NETWORK_WAITS;
        return 0;
    }
    r = folder_write(work->folder, name, text, mode, read, work->msg);
    if (r < 0)
        return r;
    count_write(work);
    *ret_state = NETWORK_WRITTEN;
    return 0;
}

static int apply_list(struct work *work, const char *name, enum network_state *ret_state)
{
    struct buffer text, with;
    struct stat status;
    int r = load(work, name, &text, &status);

    buffer_init(&with, TEXT_MAX);
    if (r == 0)
        r = conflist_insert(buffer_slice(&text), work->entry, &with, work->msg);
    if (r == 0 && slice_eq(buffer_slice(&text), buffer_slice(&with)))
        *ret_state = NETWORK_IS_THERE;
    else if (r == 0)
        r = put(work, name, buffer_slice(&with), &status, 0, ret_state);
    buffer_release(&text);
    buffer_release(&with);
    return r;
}

/* --- single configurations --- */

/* "10-x.conf" gives "10-x.conflist" and "10-x.conf.linkerd-cni". */
static int names_of(struct work *work, const char *name, char list[NAME_MAX + 1], char kept[NAME_MAX + 1])
{
    int stem = (int)(strrchr(name, '.') - name);

    if (snprintf(list, NAME_MAX + 1, "%.*s.conflist", stem, name) > NAME_MAX || snprintf(kept, NAME_MAX + 1, "%s" KEPT, name) > NAME_MAX)
        return errmsg_set(work->msg, -EINVAL, "its name is too long");
    return 0;
}

/* Is the list nothing but that single configuration (and our entry)? 0 no, 1 yes. */
static int is_made_of(struct work *work, struct slice list, const char *single)
{
    struct buffer text, wrapped, without;
    int r = load(work, single, &text, NULL);

    buffer_init(&wrapped, TEXT_MAX);
    buffer_init(&without, TEXT_MAX);
    if (r == 0)
        r = conflist_wrap(buffer_slice(&text), &wrapped, work->msg);
    if (r == 0)
        r = conflist_remove(list, &without, work->msg);
    if (r == 0)
        r = slice_eq(buffer_slice(&wrapped), buffer_slice(&without));
    buffer_release(&text);
    buffer_release(&wrapped);
    buffer_release(&without);
    return r == -ENOENT || r == -EINVAL ? 0 : r;
}

/* A list of the same name must be one that we made of it. */
static int check_place(struct work *work, const char *name, const char *list, const char *kept)
{
    struct buffer text;
    int r = load(work, list, &text, NULL);

    if (r == 0)
        r = is_made_of(work, buffer_slice(&text), name);
    if (r == 0)
        r = is_made_of(work, buffer_slice(&text), kept);
    buffer_release(&text);
    if (r == -ENOENT || r == 1)
        return 0;
    return r < 0 ? r : errmsg_set(work->msg, -EINVAL, "it must become %s, and there is such a file that is something else; remove one of the two", list);
}

static int write_list(struct work *work, const char *name, const char *list, enum network_state *ret_state)
{
    struct buffer text, wrapped, with;
    struct stat status;
    int r = load(work, name, &text, &status);

    buffer_init(&wrapped, TEXT_MAX);
    buffer_init(&with, TEXT_MAX);
    if (r == 0)
        r = conflist_wrap(buffer_slice(&text), &wrapped, work->msg);
    if (r == 0)
        r = conflist_insert(buffer_slice(&wrapped), work->entry, &with, work->msg);
    if (r == 0)
        r = put(work, list, buffer_slice(&with), NULL, status.st_mode & 0777, ret_state);
    buffer_release(&text);
    buffer_release(&wrapped);
    buffer_release(&with);
    return r;
}

static int apply_single(struct work *work, const char *name, char list[NAME_MAX + 1], enum network_state *ret_state)
{
    char kept[NAME_MAX + 1];
    int r = names_of(work, name, list, kept);

    if (r == 0)
        r = check_place(work, name, list, kept);
    if (r == 0)
        r = write_list(work, name, list, ret_state);
    return r == 0 && *ret_state == NETWORK_WRITTEN ? folder_rename(work->folder, name, kept, work->msg) : r;
}

/* --- without us --- */

/* The name of the original that a list was made of, where one is kept. */
static bool find_kept(struct work *work, const char *list, char single[NAME_MAX + 1], char kept[NAME_MAX + 1])
{
    static const char *const ends[] = {".conf", ".json"};
    int stem = (int)(strrchr(list, '.') - list);

    for (size_t i = 0; i < 2; i++) {
        if (snprintf(single, NAME_MAX + 1, "%.*s%s", stem, list, ends[i]) > NAME_MAX ||
            snprintf(kept, NAME_MAX + 1, "%s" KEPT, single) > NAME_MAX)
            continue;
        if (folder_has(work->folder, kept))
            return true;
    }
    return false;
}

/* Whoever has written the single configuration anew meant that one; the original that we kept goes with revert_kept(). */
static int restore(struct work *work, const char *list, const char *single, const char *kept)
{
    int r = folder_has(work->folder, single) ? 0 : folder_rename(work->folder, kept, single, work->msg);

    return r == 0 ? folder_remove(work->folder, list, work->msg) : r;
}

/* The single configuration beside it is what the list was made of: someone was killed when that was back already. */
static bool is_left_over(struct work *work, const char *name, struct slice text)
{
    static const char *const ends[] = {".conf", ".json"};
    char single[NAME_MAX + 1];
    bool found = false;

    for (size_t i = 0; !found && i < 2; i++) {
        snprintf(single, sizeof(single), "%.*s%s", (int)(strrchr(name, '.') - name), name, ends[i]);
        found = is_made_of(work, text, single) == 1;
    }
    return found;
}

static int write_without(struct work *work, const char *name, struct slice text, const struct stat *status, bool *changed)
{
    struct buffer without;
    int r;

    buffer_init(&without, TEXT_MAX);
    r = conflist_remove(text, &without, work->msg);
    if (r == 0 && !slice_eq(text, buffer_slice(&without))) {
        *changed = true;
        r = is_left_over(work, name, text) ? folder_remove(work->folder, name, work->msg)
                                           : folder_write(work->folder, name, buffer_slice(&without), 0, status, work->msg);
    }
    buffer_release(&without);
    return r;
}

static int revert_text(struct work *work, const char *name, struct slice text, const struct stat *status, bool *changed)
{
    char single[NAME_MAX + 1], kept[NAME_MAX + 1];
    int r = 0;

    if (!find_kept(work, name, single, kept))
        return write_without(work, name, text, status, changed);
    r = is_made_of(work, text, kept);
    if (r == 1) {
        *changed = true;
        return restore(work, name, single, kept);
    }
    if (r == 0)
        problem(work, name, "was made of a single configuration and changed by others since, so it stays, without our entry",
                "what it was is in the file that ends with " KEPT "; remove one of the two");
    return r == 0 ? write_without(work, name, text, status, changed) : r;
}

/* One that cannot be read and does not name us either is nobody's business here. */
static int revert_list(struct work *work, const char *name, bool *changed)
{
    struct buffer text;
    struct stat status;
    int r = load(work, name, &text, &status);

    if (r == 0)
        r = revert_text(work, name, buffer_slice(&text), &status, changed);
    if (r == -EINVAL) {
        struct slice bytes = buffer_slice(&text);
        bool names_us = slice_find_slice(bytes, SLICE_LIT("linkerd-cni")) < bytes.len;

        if (names_us)
            problem(work, name, "names linkerd-cni and cannot be edited; repair it, or remove the entry by hand", work->msg->text);
        r = names_us ? -EBUSY : 0;
    }
    buffer_release(&text);
    return r == -ENOENT ? 0 : r;
}

static bool is_kept(struct slice name)
{
    return slice_ends(name, SLICE_LIT(".conf" KEPT)) || slice_ends(name, SLICE_LIT(".json" KEPT));
}

/* Originals whose place has been taken by another one; where nobody has taken it, they are all that is left of it. */
static int revert_kept(struct work *work)
{
    struct folder_names names;
    char single[NAME_MAX + 1];
    int r = folder_names(work->folder, is_kept, &names, work->msg);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        snprintf(single, sizeof(single), "%.*s", (int)(strlen(names.names[i]) - strlen(KEPT)), names.names[i]);
        if (folder_has(work->folder, single))
            r = folder_remove(work->folder, names.names[i], work->msg);
        else
            problem(work, names.names[i], "stays", "it is what others have changed or removed since; remove it if it is not needed");
    }
    folder_names_release(&names);
    return r;
}

/* --- all of them --- */

static int apply_one(struct work *work, const char *name, char chosen[NAME_MAX + 1], enum network_state *ret_state)
{
    int r;

    snprintf(chosen, NAME_MAX + 1, "%s", name);
    r = is_list(slice_str(name)) ? apply_list(work, name, ret_state) : apply_single(work, name, chosen, ret_state);
    if (r == -EINVAL || r == -EFBIG) {
        problem(work, name, "cannot take our entry and is left alone; correct it, or remove it where it is not used", work->msg->text);
        *ret_state = NETWORK_NONE;
        return 0;
    }
    return r == -ENOENT ? 0 : r;
}

/* Our entry in lists that are not the first any more. */
static int clean_others(struct work *work, const struct folder_names *names, const char *chosen)
{
    bool changed = false;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < names->count; i++)
        if (is_list(slice_str(names->names[i])) && strcmp(names->names[i], chosen) != 0)
            r = revert_list(work, names->names[i], &changed);
    return r == -EBUSY ? 0 : r; /* told, and that the entry is there twice harms nobody */
}

int network_apply(struct network *network, const struct folder *folder, struct slice entry, int64_t now_ns,
                  struct buffer *problems, enum network_state *ret_state, struct errmsg *msg)
{
    struct work work = {network, folder, entry, now_ns, problems, msg};
    enum network_state state = NETWORK_NONE;
    char chosen[NAME_MAX + 1] = "";
    struct folder_names names;
    int r = folder_names(folder, is_network, &names, msg);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && state == NETWORK_NONE && i < names.count; i++)
        r = apply_one(&work, names.names[i], chosen, &state);
    if (r == 0 && state != NETWORK_NONE && state != NETWORK_WAITS)
        r = clean_others(&work, &names, chosen);
    folder_names_release(&names);
    if (r == 0)
        *ret_state = state;
    return r;
}

int network_revert(const struct folder *folder, struct buffer *problems, bool *ret_changed, struct errmsg *msg)
{
    struct work work = {NULL, folder, SLICE_NULL, 0, problems, msg};
    struct folder_names names;
    int r = folder_names(folder, is_list, &names, msg), worst = 0;

    if (r < 0)
        return r;
    *ret_changed = false;
    for (size_t i = 0; i < names.count; i++) {
        r = revert_list(&work, names.names[i], ret_changed);
        if (r < 0 && worst == 0)
            worst = r;
    }
    folder_names_release(&names);
    return worst == 0 ? revert_kept(&work) : worst;
}
