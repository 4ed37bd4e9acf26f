/* SPDX-License-Identifier: MIT */
/*
 * Fetches a page, formats its headers, writes them to a file: which of the three waits, and which
 * computes? Who waits gives the processor away of its own will, and the system counts that.
 */
#include "pages.h"

#include <sanjab/file.h>
#include <sys/resource.h>

typedef struct watch {
        sj_time moment;
        sj_time processor;
        long waits;
} watch;

static watch now(void)
{
        struct rusage used;
        getrusage(RUSAGE_THREAD, &used);
        return (watch){sj_now(),
                       (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * SJ_SEC +
                               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * SJ_US,
                       used.ru_nvcsw};
}

static void show(const char *step, watch start)
{
        watch end = now();
        printf("%s %s: %lld ms, of which the processor worked %lld ms\n", step,
               end.waits > start.waits ? "waits" : "computes",
               (long long)((end.moment - start.moment) / SJ_MS),
               (long long)((end.processor - start.processor) / SJ_MS));
}

/* Lines of "Name: value", many times over so that there is something to compute. */
static size_t format(const sj_http_response *response, char *ret, size_t size)
{
        size_t n = 0;
        sj_str name, value;
        for (int i = 0; i < 1000; i++)
                for (size_t k = 0; sj_http_response_header_at(response, k, &name, &value); k++)
                        n += (size_t)snprintf(ret + n, size - n, "%d.%zu %.*s: %.*s\n", i, k,
                                              SJ_STR_ARG(name), SJ_STR_ARG(value));
        return n;
}

static int work(sj_http_session *session, uint16_t port, const char *path)
{
        static char text[1 << 20];
        char url[64];
        sj_http_response *response;
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/2/5000/200", port);

        watch start = now();
        int r = sj_http_get(session, url, &response, NULL, SJ_NEVER);
        if (r < 0)
                return r;
        show("fetching", start);

        start = now();
        size_t n = 0;
        for (int i = 0; i < 200; i++)
                n = format(response, text, sizeof(text));
        show("formatting", start);
        sj_http_response_free(response);

        start = now();
        r = sj_file_write_whole(path, text, n, 0600, SJ_NEVER); /* returns when it is on the disk */
        show("writing", start);
        return r;
}

static int io_and_cpu(uint16_t port)
{
        char folder[] = "/tmp/sanjab-io-XXXXXX", path[64];
        sj_http_session *session;
        int r = mkdtemp(folder) ? sj_http_session_new(NULL, &session) : -errno;
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "%s/headers", folder);
        r = work(session, port, path);
        sj_http_session_free(session);
        sj_file_remove(path, SJ_NEVER);
        sj_folder_remove(folder, SJ_NEVER);
        return r;
}

int main(void)
{
        return pages_run(io_and_cpu);
}
