#include "pinch/utf8.h"

/* Length of the sequence at the front of `text` (not empty) and its code point; 0 if it is not UTF-8. */
static size_t decode(pn_str text, uint32_t *point) {
    const unsigned char *at = (const unsigned char *)text.at;
    if (at[0] < 0x80) {
        *point = at[0];
        return 1;
    }
    size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || text.len < len) return 0;
    uint32_t value = at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    *point = value;
    return len;
}

uint32_t pn_utf8_next(pn_str *text) {
    uint32_t point = PN_UTF8_BAD;
    size_t len = decode(*text, &point);
    if (len == 0) len = 1;
    text->at += len;
    text->len -= len;
    return point;
}

size_t pn_utf8_valid(pn_str text) {
    size_t done = 0;
    while (done < text.len) {
        uint32_t point;
        size_t len = decode((pn_str){text.at + done, text.len - done}, &point);
        if (len == 0) break;
        done += len;
    }
    return done;
}

size_t pn_utf8_encode(uint32_t point, char out[4]) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return 0;
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, point >>= 6) out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[len] | point);
    return len;
}
