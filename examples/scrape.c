/* SPDX-License-Identifier: MIT */
/* The sizes of four pages: one after another, then together. */
#include "pages.h"

enum { PAGES = 4 };

typedef struct page {
        sj_http_session *session;
        char url[64];
        size_t size;
} page;

static int fetch(void *arg)
{
        page *p = arg;
        sj_http_response *response;
        sj_str body;
        int r = sj_http_get(p->session, p->url, &response, NULL, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_http_response_read_all(response, 0, &body, SJ_NEVER);
        if (r >= 0)
                p->size = body.n;
        sj_http_response_free(response);
        return r;
}

static int in_turn(page pages[PAGES])
{
        int r = 0;
        for (int i = 0; r >= 0 && i < PAGES; i++)
                r = fetch(&pages[i]);
        return r;
}

static int together(page pages[PAGES])
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < PAGES; i++) {
                int r = sj_spawn(s, fetch, &pages[i], NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static int measure(const char *name, int (*way)(page pages[PAGES]), sj_http_session *session,
                   uint16_t port)
{
        static const char *const paths[PAGES] = {"2/1200/200", "4/340/200", "5/9800/200",
                                                 "6/77/200"};
        page pages[PAGES];
        for (int i = 0; i < PAGES; i++) {
                pages[i] = (page){.session = session};
                snprintf(pages[i].url, sizeof(pages[i].url), "http://127.0.0.1:%d/%s", port,
                         paths[i]);
        }
        sj_time start = sj_now();
        int r = way(pages);
        printf("%s:", name);
        for (int i = 0; i < PAGES; i++)
                printf(" %zu", pages[i].size);
        printf(" bytes after %.1f s\n", since(start));
        return r;
}

static int scrape(uint16_t port)
{
        sj_http_session *session;
        int r = sj_http_session_new(NULL, &session);
        if (r >= 0)
                r = measure("one after another", in_turn, session, port);
        if (r >= 0)
                r = measure("together", together, session, port);
        sj_http_session_free(session);
        return r;
}

int main(void)
{
        return pages_run(scrape);
}
