/* SPDX-License-Identifier: MIT */
/*
 * command: what the sub-commands of `sanjab` are made of. Each is a cmd_*.c with one `command`:
 * a table of options, from which the parser, the help and the tests read alike.
 */
#ifndef SANJAB_CLI_COMMAND_H
#define SANJAB_CLI_COMMAND_H

#include <sanjab/base.h>

/* How a command ends: the manual page sanjab(1) says the same. */
enum {
        STATUS_OK = 0,
        STATUS_FAILED = 1,  /* the task failed, or was revoked */
        STATUS_USAGE = 2,   /* the command line or the tasks are wrong */
        STATUS_TIMEOUT = 3, /* it has not ended, or not in time */
        STATUS_BROKER = 4,  /* the broker or the system could not do it */
        STATUS_UNKNOWN = 5, /* there is no such task or dead letter */
};

typedef enum option_kind {
        OPTION_FLAG,    /* bool */
        OPTION_TEXT,    /* const char * */
        OPTION_COUNT,   /* unsigned, from 1 to `most` */
        OPTION_CHOICE,  /* unsigned: the index in `choices` */
        OPTION_SECONDS, /* double, 0 or more */
        OPTION_WAIT,    /* double: seconds if they are given, else HUGE_VAL */
} option_kind;

typedef struct option {
        char letter;       /* 0: none */
        const char *name;  /* without its dashes */
        const char *value; /* what the help calls it; NULL: none */
        const char *help;
        option_kind kind;
        size_t offset; /* of the variable in the command's struct */
        unsigned most;
        const char *const *choices; /* ends with NULL */
} option;

/* An option that somebody may look for, and why there is none: the end of a sentence. */
typedef struct option_refused {
        char letter;      /* 0: none */
        const char *name; /* without its dashes; NULL: the letter alone */
        const char *why;
} option_refused;

typedef struct command command;
struct command {
        const char *name;
        const char *usage;             /* what follows the name, as "NAME [options]" */
        const char *summary;           /* one line */
        const char *about;             /* paragraphs */
        const option *options;         /* ends with a name of NULL; --help is every command's */
        const option_refused *refused; /* ends with a why of NULL; or NULL */
        /* argv[0] is the command's name. Returns the exit status. */
        int (*run)(const command *self, int argc, char **argv);
};

extern const command cmd_worker;
extern const command cmd_call;
extern const command cmd_result;
extern const command cmd_status;
extern const command cmd_dead;
extern const command cmd_purge;
extern const command cmd_conf;
extern const command cmd_inspect;
extern const command cmd_control;
extern const command cmd_events;

#endif
