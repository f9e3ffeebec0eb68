/* Bytes as text: hexadecimal and base64 (RFC 4648). Encoders append to a buffer.
 *
 * Decoders are strict, so that one value has one spelling: no white space, padding exactly where the alphabet has it, no
 * stray bits in the last digit. On bad input they return false and leave the buffer as it was; they also return false,
 * with `out->failed` set, if there is no memory.
 */
#ifndef PINCH_ENCODE_H
#define PINCH_ENCODE_H

#include "pinch/buf.h"

typedef enum pn_base64 {
    PN_BASE64,    /* + and /, padded with = */
    PN_BASE64_URL /* - and _, without padding */
} pn_base64;

void pn_hex_encode(pn_buf *out, pn_str bytes);            /* lower case */
bool pn_hex_decode(pn_buf *out, pn_str text);             /* both cases */
void pn_base64_encode(pn_buf *out, pn_base64 kind, pn_str bytes);
bool pn_base64_decode(pn_buf *out, pn_base64 kind, pn_str text);

#endif
