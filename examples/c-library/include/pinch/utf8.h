/* UTF-8 by the letter of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PINCH_UTF8_H
#define PINCH_UTF8_H

#include "pinch/str.h"

#define PN_UTF8_BAD UINT32_MAX

/* Takes one code point off the front of `*text`, which must not be empty. For bytes that are not UTF-8 it takes one byte
 * and returns PN_UTF8_BAD, so that a loop always ends. */
uint32_t pn_utf8_next(pn_str *text);

/* Length of the longest valid prefix; equal to `text.len` if all of it is valid. */
size_t pn_utf8_valid(pn_str text);

/* Writes `point` and returns the number of bytes, 1 to 4; 0 if it is a surrogate or too large. */
size_t pn_utf8_encode(uint32_t point, char out[4]);

#endif
