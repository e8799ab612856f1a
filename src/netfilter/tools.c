#include "netfilter/tools.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"

static const char *const mode_names[FIREWALL_MODE_COUNT] = {"legacy", "nft", "plain"};
static const char *const infix[FIREWALL_MODE_COUNT] = {"-legacy", "-nft", ""};
/* Where they are when PATH is that of a user who is not root, or empty. */
static const char system_folders[] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

const char *firewall_mode_name(enum firewall_mode mode)
{
    return mode_names[mode];
}

int firewall_mode_parse(const char *name, enum firewall_mode *ret_mode)
{
    for (int i = 0; i < FIREWALL_MODE_COUNT; i++)
        if (strcmp(name, mode_names[i]) == 0) {
            *ret_mode = i;
            return 0;
        }
    return -EINVAL;
}

/* Relative folders are passed over: what runs as root must not depend on where it was started. */
static bool find_in(const char *folders, const char *name, tools_probe probe, char ret_path[PATH_MAX])
{
    struct slice rest = slice_str(folders), folder;

    while (slice_split(&rest, ':', &folder)) {
        int n = snprintf(ret_path, PATH_MAX, "%.*s/%s", SLICE_ARGS(folder), name);

        if (n < PATH_MAX && folder.len && folder.ptr[0] == '/' && probe(ret_path))
            return true;
    }
    return false;
}

static bool find(const char *search, const char *name, tools_probe probe, char ret_path[PATH_MAX])
{
    return find_in(search, name, probe, ret_path) || find_in(system_folders, name, probe, ret_path);
}

int tools_find(enum firewall_mode mode, int version, const char *search, tools_probe probe, struct errmsg *msg,
               struct firewall_tools *ret_tools)
{
    const char *family = version == 6 ? "ip6" : "ip";
    struct firewall_tools tools = {.mode = mode};
    char restore[32], save[32];

    snprintf(restore, sizeof(restore), "%stables%s-restore", family, infix[mode]);
    snprintf(save, sizeof(save), "%stables%s-save", family, infix[mode]);
    if (!find(search, restore, probe, tools.restore) || !find(search, save, probe, tools.save))
        return errmsg_set(msg, -ENOENT,
                          "%s and %s were not found in PATH or %s; install iptables, or choose another --iptables-mode",
                          restore, save, system_folders);
    *ret_tools = tools;
    return 0;
}

int tools_find_any(enum firewall_mode mode, int version, const char *search, tools_probe probe, struct errmsg *msg,
                   struct firewall_tools *ret_tools)
{
    static const enum firewall_mode others[] = {FIREWALL_NFT, FIREWALL_PLAIN, FIREWALL_LEGACY};

    if (tools_find(mode, version, search, probe, msg, ret_tools) == 0)
        return 0;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (tools_find(others[i], version, search, probe, NULL, ret_tools) == 0)
            return 0;
    return -ENOENT; /* the sentence is about the mode that was asked for */
}
