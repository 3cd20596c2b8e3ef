/* samples.h - one well-formed input or more per codec, as hex: real ones first, then the forms that the
 * reference implementation does not send. Shared by the damage tests and by the script that makes the fuzz
 * corpora. */
#ifndef TESTS_UNIT_PROTO_WIRE_SAMPLES_H
#define TESTS_UNIT_PROTO_WIRE_SAMPLES_H

#include "tests/unit/proto/wire/codecs.h"
#include "tests/unit/proto/wire/reference_bytes.h"

#define SAMPLE_HEADER(first, exchange, id, length)                                                           \
    "957e3b86f602b129 232f5e1e4f192e67" first "10" exchange "00" id length
#define SAMPLE_SPI "6162636465666768 3031323334353637"
#define SAMPLE_V4_ID "01 0350 04 0a00e02c"

/* GDOI SA head, then a SAK of the modern kind: AES-256, lifetime as TLV, SHA-256, RSA-2048, ACK wanted. */
#define SAMPLE_SA_HEAD(first) "00000002 00000000 00" first " 0000"
#define SAMPLE_SAK_BODY                                                                                      \
    "11" SAMPLE_V4_ID SAMPLE_V4_ID SAMPLE_SPI                                                                \
    "00000000 80020003 80030100 0004000400015180 80050003 80060001"                                          \
    "80070800 80090001"
#define SAMPLE_GAP_BODY "8001000f 8002001e"
/* ESP GCM-16, 10.1.0.0/16 to anything, TCP. */
#define SAMPLE_SAT_BODY                                                                                      \
    "01 06 04 0000 08 0a010000ffff0000 04 0050 08 0000000000000000 14 c0ffee01 80040001 80060100 80010001"   \
    "0002000400000e10 80010002 0002000400465000 800b0001 800e0004 800f0003"

/* NOTIFY, DELETE, VENDOR, GAP */
#define SAMPLE_INFORMATIONAL                                                                                 \
    "0c00 000c 00000001 01 00 000e"                                                                          \
    "0d00 0014 00000002 01 04 0002 c0ffee01 c0ffee02"                                                        \
    "1600 0014 afcad71368a1f1c96b8696fc77570100"                                                             \
    "0000 000c" SAMPLE_GAP_BODY

struct sample {
    const char *name;
    const struct codec *codec;
    const char *hex;
};

static const struct sample samples[] = {
    {"main1", &codec_message, SAMPLE_HEADER("01", "02", "00000000", "00000050") "00000034" REF_SAI_B},
    {"charon_main1", &codec_message, REF_CHARON_MAIN1},
    {"main5", &codec_message, SAMPLE_HEADER("05", "02", "00000000", "0000005c") REF_MM5},
    {"pull1", &codec_message, SAMPLE_HEADER("08", "20", "3cc1f923", "00000054") REF_PULL1},
    {"pull2", &codec_message, SAMPLE_HEADER("08", "20", "3cc1f923", "000000e4") REF_PULL2},
    {"pull4", &codec_message, SAMPLE_HEADER("08", "20", "3cc1f923", "000001a4") REF_PULL4},
    {"push", &codec_message, SAMPLE_SPI "12 10 21 01 00000000 00000194" REF_PUSH},
    {"informational", &codec_message, SAMPLE_HEADER("0b", "05", "00000007", "0000005c") SAMPLE_INFORMATIONAL},
    {"sa_b", &codec_offer, REF_SAI_B},
    /* charon's way: TLV where it need not be, two proposals, a SPI, an unknown class, kilobytes beside
       seconds */
    {"two_proposals", &codec_offer,
     "00000001 00000001"
     "02000030 01010801 0102030405060708 00000020 00010000 80010007 800e0100 80020004 8004000e 80030001 "
     "80790001"
     "0000002c 02010001 00000024 01010000 80010005 80020002 80040002 80030003 800b0001 000c000400007080"},
    {"reference_pull", &codec_sa, REF_PULL2_SA_B},
    {"reference_push", &codec_sa, REF_PUSH_SA_B},
    {"modern", &codec_sa,
     SAMPLE_SA_HEAD("0f") "16000049" SAMPLE_SAK_BODY "1000000c" SAMPLE_GAP_BODY "1000004f" SAMPLE_SAT_BODY
                          "0000004f" SAMPLE_SAT_BODY},
    {"delays", &codec_gap, SAMPLE_GAP_BODY},
    {"sid_request", &codec_gap, "80030002"},
    {"reference_pull", &codec_kd, REF_PULL4_KD_B},
    {"reference_push", &codec_kd, REF_PUSH_KD_B},
    {"gcm_with_sids", &codec_kd,
     "0003 0000"
     "02 00 0045 10" SAMPLE_SPI "0001 0020 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "0002 0008 3006030102030405"
     "01 00 0021 04 c0ffee01 0001 0014 202122232425262728292a2b2c2d2e2f30313233"
     "04 00 0015 00 8001000c 0002 0002 0123 0002 0002 0fff"},
    {"seq", &codec_seq, "0000002a"},
    {"key_id", &codec_id, "0b 00 0000 000004d2"},
    {"v6_subnet", &codec_id, "06 11 01f4 20010db8000000000000000000000000 ffffffff000000000000000000000000"},
    {"fqdn", &codec_id, "02 00 0000 6272616e6368372e6578616d706c652e6e6574"},
    {"dpd", &codec_notify, "00000001 01 10 8d28" SAMPLE_SPI "00000001"},
    {"bare_error", &codec_notify, "00000002 01 00 000e"},
    {"two_teks", &codec_delete, "00000002 01 04 0002 c0ffee01 c0ffee02"},
    {"a_kek", &codec_delete, "00000002 00 10 0001" SAMPLE_SPI},
    {"kek", &codec_attributes, "80020003 80030100 0004000400015180 80050003 80060001 80070800 80090001"},
    {"sids", &codec_attributes, "8001000c 000200020123 000200020fff"},
    {"both_forms", &codec_attributes, "800b0001 000c000400007080 7d010003010203 00040000"},
};
enum { SAMPLE_COUNT = sizeof(samples) / sizeof(samples[0]) };

#endif
