#include "pinch/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *pn_buf_reserve(pn_buf *buf, size_t more) {
    if (buf->failed) return NULL;
    if (more >= SIZE_MAX - buf->len) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + more + 1; /* one for the NUL */
    if (need > buf->room) {
        size_t room = buf->room < 32 ? 32 : buf->room;
        while (room < need) room = room > SIZE_MAX / 2 ? need : room * 2;
        char *at = realloc(buf->at, room);
        if (!at) {
            buf->failed = true;
            return NULL;
        }
        buf->at = at;
        buf->room = room;
    }
    return buf->at + buf->len;
}

void pn_buf_add(pn_buf *buf, pn_str text) {
    char *end = pn_buf_reserve(buf, text.len);
    if (!end) return;
    if (text.len) memcpy(end, text.at, text.len);
    end[text.len] = '\0';
    buf->len += text.len;
}

void pn_buf_char(pn_buf *buf, char c) {
    pn_buf_add(buf, (pn_str){&c, 1});
}

void pn_buf_printf(pn_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        buf->failed = true;
        return;
    }
    char *end = pn_buf_reserve(buf, (size_t)len);
    if (!end) return;
    va_start(args, format);
    vsnprintf(end, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

pn_str pn_buf_str(const pn_buf *buf) {
    return (pn_str){buf->at, buf->len};
}

void pn_buf_clear(pn_buf *buf) {
    buf->len = 0;
    buf->failed = false;
    if (buf->at) buf->at[0] = '\0';
}

void pn_buf_free(pn_buf *buf) {
    free(buf->at);
    *buf = (pn_buf){0};
}
