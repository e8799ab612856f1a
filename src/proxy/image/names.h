/*
 * What the proxy's binary is under the other names that it has in an image, so
 * that the image holds one program and links to it:
 *
 *     linkerd2-proxy-identity    makes key and request, then becomes linkerd2-proxy
 *     linkerd2-proxy-run         the same, the entrypoint of older releases
 *     linkerd-await              waits until the proxy of the pod is ready
 *     sleep, bash                what preStop hooks run; there is no shell
 *
 * Each is a short-lived program of one thread that blocks. They print their
 * complaints on standard error.
 */
#pragma once

typedef int image_main(int argc, char *const argv[]);

/* The program of this name, given as argv[0] with or without folders; NULL: the proxy itself. */
image_main *image_main_of(const char *argv0);

/*
 * With no arguments: reads LINKERD2_PROXY_IDENTITY_DIR, _LOCAL_NAME and _TRUST_ANCHORS, writes a new key.p8 and csr.der,
 * and becomes the proxy; with _DISABLED it only becomes the proxy. With -dir DIR -name NAME, as older releases call it,
 * it writes the two files and ends. Returns EXIT_CONFIG or EXIT_START when that cannot be.
 */
int image_identity_main(int argc, char *const argv[]);
int image_run_main(int argc, char *const argv[]);
/* Status 0 when /ready answers 200; 69 when it does not within --timeout; 64 for a wrong command line. */
int image_await_main(int argc, char *const argv[]);
/* sleep NUMBER[smhd]...: their sum; 1 for what is no number. */
int image_sleep_main(int argc, char *const argv[]);
/* bash -c "sleep NUMBER[smhd]" and nothing else; 127 for everything else. */
int image_bash_main(int argc, char *const argv[]);
