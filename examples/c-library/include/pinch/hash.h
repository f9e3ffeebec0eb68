/* Hashes: SipHash-2-4 for tables fed by strangers, CRC-32C for noticing damage. Neither is a cryptographic digest. */
#ifndef PINCH_HASH_H
#define PINCH_HASH_H

#include "pinch/str.h"

/* SipHash-2-4 of `data`. Without the key nobody can make values collide; take the key from the system's randomness. */
uint64_t pn_siphash(const uint8_t key[16], pn_str data);

/* CRC-32C (Castagnoli), as in iSCSI and ext4. Begin with `crc` 0; pass the last result to go on:
 * pn_crc32c(pn_crc32c(0, a), b) is the checksum of a followed by b. */
uint32_t pn_crc32c(uint32_t crc, pn_str data);

#endif
