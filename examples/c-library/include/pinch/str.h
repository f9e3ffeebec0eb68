/* `pn_str`: a borrowed run of bytes.
 *
 * It owns nothing, need not end in NUL and may contain NUL. Whoever makes one says how long it stays valid.
 * Functions that take a `pn_str` accept {NULL, 0}.
 */
#ifndef PINCH_STR_H
#define PINCH_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct pn_str {
    const char *at;
    size_t len;
} pn_str;

/* The bytes of a NUL-terminated string. */
static inline pn_str pn_cstr(const char *text) {
    return (pn_str){text, strlen(text)};
}

static inline bool pn_str_equal(pn_str a, pn_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
