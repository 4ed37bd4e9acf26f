/* SPDX-License-Identifier: MIT */
/* A text that stays for as long as its values do: the parser need not copy it. */
#ifndef SANJAB_CODEC_JSON_KEPT_H
#define SANJAB_CODEC_JSON_KEPT_H

#include <sanjab/json.h>

/* What can be read behind the text: a NUL, and then whatever there is. */
enum { JSON_KEPT_ROOM = 32 };

/* As sj_json_parse_limited, but the raw bytes of the values are the text's own. */
int json_parse_kept(sj_arena *arena, sj_str text, unsigned flags, size_t size_max,
                    unsigned depth_max, const sj_json **ret, sj_json_error *ret_error);

#endif
