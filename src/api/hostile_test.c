/*
 * Every seed of the fuzzers, cut off at every byte and with every bit turned over: nothing crashes, nothing leaks, what
 * can still be decoded comes back as it was.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/roundtrip.h"

static const struct {
    const char *message, *folder;
} seeds[] = {
    {"Update", "api_update"},
    {"DestinationProfile", "api_profile"},
    {"Server", "api_server_policy"},
    {"OutboundPolicy", "api_outbound_policy"},
    {"CertifyRequest", "api_certify"},
    {"CertifyResponse", "api_certify"},
    {"TrafficSpec", "api_workload"},
};

/* At the end of a page of its own, as far as ASan is concerned. */
static void check_copy(const char *message, const char *bytes, size_t len)
{
    char *exact = malloc(len ? len : 1);

    memcpy(exact, bytes, len);
    roundtrip_check(message, slice_of(exact, len));
    free(exact);
}

static void torment(const char *message, char *bytes, size_t len)
{
    for (size_t i = 0; i <= len; i++)
        check_copy(message, bytes, i);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        check_copy(message, bytes, len);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static unsigned torment_folder(const char *message, const char *folder)
{
    struct dirent **names;
    char path[4096], bytes[4096];
    unsigned done = 0;
    int count;

    snprintf(path, sizeof(path), "%s/%s", CORPUS, folder);
    count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s/%s", CORPUS, folder, names[i]->d_name);
        file = names[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file) {
            torment(message, bytes, fread(bytes, 1, sizeof(bytes), file));
            fclose(file);
            done++;
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return done;
}

static void seeds_survive(void **state)
{
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
        assert_true(torment_folder(seeds[i].message, seeds[i].folder) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(seeds_survive)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
