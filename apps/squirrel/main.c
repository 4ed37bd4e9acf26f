/* SPDX-License-Identifier: MIT */
/*
 * squirrel: watches websites, in each of the ways in which sanjab can.
 *
 * Exit status: 0 all sites are up (or the farm was stopped); 1 some are down; 2 the command line,
 * a file or a mode is at fault, or two modes disagree.
 */
#include "farm.h"
#include "notify.h"
#include "report.h"

#include <sanjab/exec.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_ALL_UP = 0, EXIT_SOME_DOWN = 1, EXIT_FAULT = 2, WORKERS_MAX = 1000 };

static const char help_text[] =
        "squirrel watches websites.\n"
        "\n"
        "usage:\n"
        "  squirrel check [options] SITES   check each site of the list once\n"
        "  squirrel farm [options] FARM     serve pretend sites on loopback\n"
        "\n"
        "SITES is a file with one URL a line, after it an owner if you like, and # comments;\n"
        "- is standard input. A site is up if a HEAD request is answered in time, below 400.\n"
        "\n"
        "options of check:\n"
        "  --mode MODE        serial, threads, futures, processes, fibers, queue, or all;\n"
        "                     fibers if you do not say\n"
        "  --workers N        threads, processes or sites at once (as many as are useful)\n"
        "  --timeout S        seconds for each site (10)\n"
        "  --broker URL       the queue's broker (SANJAB_BROKER_URL, else sqlite:sanjab.db)\n"
        "  --notify TARGET    tell the owners of sites that are down: a URL, to which JSON is\n"
        "                     posted, or a shell command, which finds SQUIRREL_URL,\n"
        "                     SQUIRREL_OWNER, SQUIRREL_STATUS and SQUIRREL_REASON\n"
        "  --json             print JSON instead of a table\n"
        "\n"
        "options of farm:\n"
        "  --port N           the port (any that is free)\n"
        "  --sites FILE       write a list for `squirrel check` there\n"
        "  --hosts FILE       write the names there, for SANJAB_HOSTS\n"
        "\n"
        "FARM has a line for each site: NAME MILLISECONDS OUTCOME [OWNER], where OUTCOME is a\n"
        "status, silent, reset or unknown.\n"
        "\n"
        "exit status: 0 all sites are up, 1 some are down, 2 something else went wrong\n";

typedef struct check_options {
        const char *mode;
        const char *notify;
        const char *broker;
        const char *sites;
        unsigned workers;
        sj_time timeout;
        bool json;
} check_options;

static int fault(const char *format, ...) SJ_PRINTF(1, 2);

static int fault(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        fputs("squirrel: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        va_end(args);
        return EXIT_FAULT;
}

/* ── check ───────────────────────────────────────────────────────────────────────────────── */

static int run_mode(const mode *m, const check_options *options, const site_list *list,
                    report_row *ret)
{
        check *checks = calloc(list->n, sizeof(*checks));
        if (!checks)
                return fault("%s", sj_strerror(-ENOMEM));
        progress p;
        mode_run run = {.list = list,
                        .timeout = options->timeout,
                        .workers = options->workers,
                        .broker = options->broker,
                        .progress = &p,
                        .checks = checks};
        progress_begin(&p, m->name, list->n);
        sj_time start = sj_now();
        int r = m->run(&run);
        sj_time took = sj_now() - start;
        progress_end(&p);
        if (r < 0) {
                free(checks);
                return run.error[0] ? fault("%s", run.error)
                                    : fault("mode %s: %s", m->name, sj_strerror(r));
        }
        *ret = (report_row){.mode = m->name, .took = took, .checks = checks};
        return 0;
}

static int notify_owners(const check_options *options, const report_row *row, const site_list *list)
{
        notice *notices = calloc(list->n, sizeof(*notices));
        if (!notices)
                return fault("%s", sj_strerror(-ENOMEM));
        size_t n = 0;
        for (size_t i = 0; i < list->n; i++)
                if (!row->checks[i].up)
                        notices[n++] = (notice){&list->sites[i], &row->checks[i]};
        int failed = n > 0 ? notify(options->notify, notices, n) : 0;
        free(notices);
        return failed ? EXIT_FAULT : 0;
}

static int report(const check_options *options, const report_row rows[], size_t n,
                  const site_list *list)
{
        if (options->json) {
                int r = report_json(rows, n, list);
                if (r < 0)
                        return fault("%s", sj_strerror(r));
        } else {
                report_table(rows, n, list);
        }
        size_t i = report_disagreement(rows, n, list->n);
        if (i < list->n)
                return fault("the modes disagree on %s", list->sites[i].url);
        if (options->notify) {
                int status = notify_owners(options, &rows[n - 1], list);
                if (status)
                        return status;
        }
        return report_down(&rows[n - 1], list->n) > 0 ? EXIT_SOME_DOWN : EXIT_ALL_UP;
}

static int check_list(const check_options *options, const site_list *list)
{
        bool all = strcmp(options->mode, "all") == 0;
        const mode *only = all ? NULL : mode_find(options->mode);
        if (!all && !only)
                return fault("there is no mode '%s': it is serial, threads, futures, processes, "
                             "fibers, queue or all",
                             options->mode);
        report_row rows[8];
        size_t n = 0;
        int status = 0;
        if (only)
                status = run_mode(only, options, list, &rows[n]);
        for (size_t i = 0; all && status == 0 && i < modes_count; i++)
                status = run_mode(&modes[i], options, list, &rows[n++]);
        if (only)
                n = 1;
        if (status == 0)
                status = report(options, rows, n, list);
        else
                n--;
        for (size_t i = 0; i < n; i++)
                free((void *)(uintptr_t)rows[i].checks);
        return status;
}

/* A number from 1 to most; false: it is none. */
static bool parse_number(const char *text, double most, double *ret)
{
        char *end;
        double value = strtod(text, &end);
        if (end == text || *end != '\0' || !(value > 0) || value > most)
                return false;
        *ret = value;
        return true;
}

/* After getopt has answered ':' or '?', with ':' at the front of its short options. */
static int wrong_option(int answer, char *const *argv)
{
        return fault(answer == ':' ? "%s needs a value: see squirrel --help"
                                   : "%s is no option: see squirrel --help",
                     argv[optind - 1]);
}

static int parse_check(int argc, char **argv, check_options *o)
{
        static const struct option options[] = {
                {"mode", required_argument, NULL, 'm'},
                {"workers", required_argument, NULL, 'w'},
                {"timeout", required_argument, NULL, 't'},
                {"broker", required_argument, NULL, 'b'},
                {"notify", required_argument, NULL, 'n'},
                {"json", no_argument, NULL, 'j'},
                {0},
        };
        double number;
        for (int c; (c = getopt_long(argc, argv, ":b:", options, NULL)) != -1;) {
                switch (c) {
                case 'm':
                        o->mode = optarg;
                        break;
                case 'w':
                        if (!parse_number(optarg, WORKERS_MAX, &number) || number < 1)
                                return fault("--workers is a number from 1 to %d, not '%s'",
                                             WORKERS_MAX, optarg);
                        o->workers = (unsigned)number;
                        break;
                case 't':
                        if (!parse_number(optarg, 3600, &number))
                                return fault("--timeout is a number of seconds, at most 3600, "
                                             "not '%s'",
                                             optarg);
                        o->timeout = (sj_time)(number * (double)SJ_SEC);
                        break;
                case 'b':
                        o->broker = optarg;
                        break;
                case 'n':
                        o->notify = optarg;
                        break;
                case 'j':
                        o->json = true;
                        break;
                default:
                        return wrong_option(c, argv);
                }
        }
        if (optind != argc - 1)
                return fault("which sites? squirrel check [options] SITES");
        o->sites = argv[optind];
        return 0;
}

static int command_check(int argc, char **argv)
{
        const char *broker = getenv("SANJAB_BROKER_URL");
        check_options o = {.mode = "fibers",
                           .timeout = 10 * SJ_SEC,
                           .broker = broker && *broker ? broker : "sqlite:sanjab.db"};
        int status = parse_check(argc, argv, &o);
        if (status)
                return status;
        site_list list;
        char error[400];
        if (site_list_read(o.sites, &list, error, sizeof(error)) < 0)
                return fault("%s", error);
        status = check_list(&o, &list);
        site_list_free(&list);
        return status;
}

/* ── farm ────────────────────────────────────────────────────────────────────────────────── */

static int command_farm(int argc, char **argv)
{
        static const struct option options[] = {
                {"port", required_argument, NULL, 'p'},
                {"sites", required_argument, NULL, 's'},
                {"hosts", required_argument, NULL, 'h'},
                {0},
        };
        farm_options o = {0};
        double number;
        for (int c; (c = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
                switch (c) {
                case 'p':
                        if (!parse_number(optarg, 65535, &number) || number < 1)
                                return fault("--port is a number from 1 to 65535, not '%s'",
                                             optarg);
                        o.port = (uint16_t)number;
                        break;
                case 's':
                        o.sites_path = optarg;
                        break;
                case 'h':
                        o.hosts_path = optarg;
                        break;
                default:
                        return wrong_option(c, argv);
                }
        }
        if (optind != argc - 1)
                return fault("which farm? squirrel farm [options] FARM");
        farm f;
        char error[400];
        if (farm_read(argv[optind], &f, error, sizeof(error)) < 0)
                return fault("%s", error);
        int r = farm_serve(&f, &o, error, sizeof(error));
        farm_free(&f);
        return r < 0 ? fault("%s", error) : EXIT_ALL_UP;
}

static void print_log(void *arg, sj_log_level level, const char *text)
{
        (void)arg;
        (void)level;
        fprintf(stderr, "squirrel: %s\n", text);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        sj_log_set(print_log, NULL, SJ_LOG_WARNING);
        const char *command = argc > 1 ? argv[1] : "";
        if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0 ||
            (argc > 2 && strcmp(argv[2], "--help") == 0)) {
                fputs(help_text, stdout);
                return EXIT_ALL_UP;
        }
        if (strcmp(command, "check") == 0)
                return command_check(argc - 1, argv + 1);
        if (strcmp(command, "farm") == 0)
                return command_farm(argc - 1, argv + 1);
        if (*command == '\0')
                fputs(help_text, stderr);
        else
                fault("there is no command '%s': see squirrel --help", command);
        return EXIT_FAULT;
}
