/* Buffer: a growing run of bytes, for building text.
 *
 * Errors are sticky: once an addition found no memory, `failed` is set and all later additions do nothing, so that one
 * check at the end is enough. The content is always followed by a NUL that is not counted. A zeroed `pn_buf` is empty
 * and ready for use; `pn_buf_free` gives its memory back.
 */
#ifndef PINCH_BUF_H
#define PINCH_BUF_H

#include "pinch/str.h"

#if defined(__GNUC__)
#define PN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define PN_PRINTF(text, first)
#endif

typedef struct pn_buf {
    char *at; /* NULL before the first addition */
    size_t len;
    size_t room; /* private */
    bool failed;
} pn_buf;

/* Makes room for `more` further bytes and returns where they go, or NULL. Add to `len` what was written. */
char *pn_buf_reserve(pn_buf *buf, size_t more);

void pn_buf_add(pn_buf *buf, pn_str text);
void pn_buf_char(pn_buf *buf, char c);
void pn_buf_printf(pn_buf *buf, const char *format, ...) PN_PRINTF(2, 3);

/* The content; valid until the next addition. */
pn_str pn_buf_str(const pn_buf *buf);

/* Empties the buffer, forgets a failure, keeps the memory. */
void pn_buf_clear(pn_buf *buf);
void pn_buf_free(pn_buf *buf);

#endif
