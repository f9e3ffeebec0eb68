#include "pinch/encode.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

void pn_hex_encode(pn_buf *out, pn_str bytes) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.at[i];
        pn_buf_char(out, digits[byte >> 4]);
        pn_buf_char(out, digits[byte & 15]);
    }
}

bool pn_hex_decode(pn_buf *out, pn_str text) {
    if (text.len % 2) return false;
    char *to = pn_buf_reserve(out, text.len / 2);
    if (!to) return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);
        if (high < 0 || low < 0) {
            *to = '\0';
            return false;
        }
        to[i / 2] = (char)(high << 4 | low);
    }
    to[text.len / 2] = '\0';
    out->len += text.len / 2;
    return true;
}

static const char DIGITS[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

static int base64_digit(pn_base64 kind, char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == DIGITS[kind][62]) return 62;
    if (c == DIGITS[kind][63]) return 63;
    return -1;
}

void pn_base64_encode(pn_buf *out, pn_base64 kind, pn_str bytes) {
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++) group = group << 8 | (j < have ? (unsigned char)bytes.at[i + j] : 0u);
        for (size_t j = 0; j < 4; j++) {
            if (j <= have) pn_buf_char(out, DIGITS[kind][group >> (18 - 6 * j) & 63]);
            else if (kind == PN_BASE64) pn_buf_char(out, '=');
        }
    }
}

bool pn_base64_decode(pn_buf *out, pn_base64 kind, pn_str text) {
    if (kind == PN_BASE64) {
        if (text.len % 4) return false;
        for (int i = 0; i < 2 && text.len && text.at[text.len - 1] == '='; i++) text.len--;
    }
    if (text.len % 4 == 1) return false;
    char *to = pn_buf_reserve(out, text.len / 4 * 3 + 2);
    if (!to) return false;
    size_t len = 0;
    uint32_t bits = 0;
    unsigned held = 0; /* bits of `bits` that are still to be written */
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(kind, text.at[i]);
        if (digit < 0) {
            *to = '\0';
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[len++] = (char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    if (bits) { /* stray bits in the last digit */
        *to = '\0';
        return false;
    }
    to[len] = '\0';
    out->len += len;
    return true;
}
