#include "net/x509/x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <time.h>

#include "base/duration.h"
#include "base/ip.h"
#include "base/limits.h"
#include "net/x509/x509_internal.h"

bool san_eq(struct san a, struct san b)
{
    return a.kind == b.kind && (a.kind == SAN_DNS || a.kind == SAN_URI) && slice_eq(a.name, b.name);
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

bool san_is_dns(struct slice name)
{
    struct slice rest = name, label;
    struct ip ip;

    if (name.len == 0 || name.len > 253 || name.ptr[name.len - 1] == '.' || ip_parse(name, &ip) == 0)
        return false;
    while (slice_split(&rest, '.', &label))
        if (!is_label(label))
            return false;
    return true;
}

bool san_is_uri(struct slice name)
{
    size_t colon = slice_find(name, ':');

    if (colon == 0 || colon + 1 >= name.len || name.len > LIMIT_IDENTITY)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return false;
        if (i < colon && !letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return true;
}

struct san san_parse(struct slice name)
{
    if (san_is_dns(name))
        return (struct san){SAN_DNS, name};
    if (san_is_uri(name))
        return (struct san){SAN_URI, name};
    return (struct san){SAN_NONE, SLICE_NULL};
}

struct san x509_san_of(const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);
    struct slice bytes;

    if (type != GEN_DNS && type != GEN_URI)
        return (struct san){SAN_OTHER, SLICE_NULL};
    bytes = slice_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    if (type == GEN_DNS && san_is_dns(bytes))
        return (struct san){SAN_DNS, bytes};
    if (type == GEN_URI && san_is_uri(bytes))
        return (struct san){SAN_URI, bytes};
    return (struct san){SAN_OTHER, bytes};
}

/* False when the extension is there but broken, or there twice: then the certificate is not one that names anybody. */
static bool read_names(const X509 *x509, GENERAL_NAMES **ret_names)
{
    int critical;
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);

    *ret_names = names;
    return names || critical == -1;
}

static struct san first_id(const GENERAL_NAMES *names)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct san san = x509_san_of(sk_GENERAL_NAME_value(names, i));

        if (san.kind == SAN_DNS || san.kind == SAN_URI)
            return san;
    }
    return (struct san){SAN_NONE, SLICE_NULL};
}

static bool names_have(const GENERAL_NAMES *names, struct san id)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        if (san_eq(x509_san_of(sk_GENERAL_NAME_value(names, i)), id))
            return true;
    return false;
}

bool x509_first_id(const X509 *x509, GENERAL_NAMES **ret_names, struct san *ret_id)
{
    *ret_id = (struct san){SAN_NONE, SLICE_NULL};
    if (!read_names(x509, ret_names))
        return false;
    if (*ret_names)
        *ret_id = first_id(*ret_names);
    return true;
}

bool x509_has_id(const X509 *x509, struct san id)
{
    GENERAL_NAMES *names;
    bool has = read_names(x509, &names) && names && names_have(names, id);

    GENERAL_NAMES_free(names);
    return has;
}

static int to_wall(const ASN1_TIME *from, int64_t *ret_ns)
{
    struct tm tm;
    int64_t seconds;

    if (ASN1_TIME_to_tm(from, &tm) != 1)
        return -EINVAL;
    seconds = (int64_t)timegm(&tm);
    if (seconds > INT64_MAX / NS_PER_S) /* "99991231235959Z" is how a certificate says: never */
        *ret_ns = INT64_MAX;
    else if (seconds < INT64_MIN / NS_PER_S)
        *ret_ns = INT64_MIN;
    else
        *ret_ns = seconds * NS_PER_S;
    return 0;
}

int x509_cert_wrap(X509 *x509, struct errmsg *msg, struct x509_cert **ret_cert)
{
    struct x509_cert *cert = calloc(1, sizeof(*cert));
    int len;

    if (!cert) {
        X509_free(x509);
        return -ENOMEM;
    }
    refcount_init(&cert->refs);
    cert->x509 = x509;
    if (!read_names(x509, &cert->names)) {
        x509_cert_unref(cert);
        return errmsg_set(msg, -EINVAL, "the certificate's alternative names do not parse (%s)",
                          x509_openssl_reason("more than one extension"));
    }
    if (to_wall(X509_get0_notBefore(x509), &cert->not_before) < 0 ||
        to_wall(X509_get0_notAfter(x509), &cert->not_after) < 0) {
        x509_cert_unref(cert);
        return errmsg_set(msg, -EINVAL, "the certificate's validity does not parse (%s)", x509_openssl_reason("time"));
    }
    len = i2d_X509(x509, &cert->der);
    if (len <= 0) {
        x509_cert_unref(cert);
        return -ENOMEM;
    }
    cert->der_len = (size_t)len;
    *ret_cert = cert;
    return 0;
}

int x509_cert_read(struct slice der, struct errmsg *msg, struct x509_cert **ret_cert)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *x509;

    if (der.len == 0 || der.len > LIMIT_CERTIFICATE)
        return errmsg_set(msg, -EINVAL, "a certificate of %zu bytes; it must have between 1 and %d", der.len,
                          LIMIT_CERTIFICATE);
    x509 = d2i_X509(NULL, &at, (long)der.len);
    if (!x509)
        return errmsg_set(msg, -EINVAL, "not a certificate (%s)", x509_openssl_reason("it does not parse"));
    if (at != (const unsigned char *)der.ptr + der.len) {
        X509_free(x509);
        return errmsg_set(msg, -EINVAL, "there are bytes behind the certificate");
    }
    return x509_cert_wrap(x509, msg, ret_cert);
}

struct x509_cert *x509_cert_ref(struct x509_cert *cert)
{
    refcount_get(&cert->refs);
    return cert;
}

void x509_cert_unref(struct x509_cert *cert)
{
    if (!cert || !refcount_put(&cert->refs))
        return;
    GENERAL_NAMES_free(cert->names);
    OPENSSL_free(cert->der);
    X509_free(cert->x509);
    free(cert);
}

struct slice x509_cert_der(const struct x509_cert *cert)
{
    return slice_of(cert->der, cert->der_len);
}

int x509_cert_write_pem(const struct x509_cert *cert, struct buffer *ret_pem)
{
    return pem_encode(SLICE_LIT("CERTIFICATE"), x509_cert_der(cert), ret_pem);
}

int64_t x509_cert_not_before(const struct x509_cert *cert)
{
    return cert->not_before;
}

int64_t x509_cert_not_after(const struct x509_cert *cert)
{
    return cert->not_after;
}

int64_t x509_cert_days_left(const struct x509_cert *cert, int64_t wall_ns)
{
    int64_t day = 24 * 3600, left = cert->not_after / NS_PER_S - wall_ns / NS_PER_S;

    return left >= 0 ? left / day : -((-left + day - 1) / day);
}

bool x509_cert_is_ca(const struct x509_cert *cert)
{
    return X509_check_ca(cert->x509) == 1;
}

bool x509_cert_has_key(const struct x509_cert *cert, const struct x509_key *key)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert->x509);
    bool same = pkey && EVP_PKEY_eq(pkey, key->pkey) == 1;

    ERR_clear_error();
    return same;
}

bool x509_cert_san(const struct x509_cert *cert, size_t index, struct san *ret_san)
{
    if (index >= (size_t)(cert->names ? sk_GENERAL_NAME_num(cert->names) : 0))
        return false;
    *ret_san = x509_san_of(sk_GENERAL_NAME_value(cert->names, (int)index));
    return true;
}

struct san x509_cert_first_id(const struct x509_cert *cert)
{
    return cert->names ? first_id(cert->names) : (struct san){SAN_NONE, SLICE_NULL};
}

bool x509_cert_has_id(const struct x509_cert *cert, struct san id)
{
    return cert->names && names_have(cert->names, id);
}

static int write_name(const X509_NAME *name, struct buffer *ret_text)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;
    int r = -ENOMEM;

    /* RFC 2253 escapes control bytes and what is not ASCII. */
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(bio, &text);
        r = buffer_add(ret_text, slice_of(text, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    ERR_clear_error();
    return r;
}

int x509_cert_subject(const struct x509_cert *cert, struct buffer *ret_text)
{
    return write_name(X509_get_subject_name(cert->x509), ret_text);
}

int x509_cert_issuer(const struct x509_cert *cert, struct buffer *ret_text)
{
    return write_name(X509_get_issuer_name(cert->x509), ret_text);
}

int x509_cert_serial(const struct x509_cert *cert, struct buffer *ret_hex)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);

    for (int i = 0; i < ASN1_STRING_length(serial); i++)
        buffer_printf(ret_hex, "%02x", ASN1_STRING_get0_data(serial)[i]);
    return buffer_error(ret_hex);
}

int x509_cert_algorithm(const struct x509_cert *cert, struct buffer *ret_text)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert->x509);
    char kind[64];

    ERR_clear_error();
    return buffer_add(ret_text, pkey ? slice_str(x509_key_kind(pkey, kind, sizeof(kind))) : SLICE_LIT("unknown"));
}

void x509_cert_sha256(const struct x509_cert *cert, uint8_t ret_digest[32])
{
    SHA256(cert->der, cert->der_len, ret_digest);
}
