/* SPDX-License-Identifier: MIT */
/* 1000 files are written, read and counted together, while another fiber shows that the loop lives.
 */
#include "speed.h"

#include <sanjab/file.h>
#include <stdio.h>

enum { FILES = 1000 };

typedef struct one_file {
        const char *folder;
        int i;
        size_t read;
} one_file;

static int write_and_read(void *arg)
{
        one_file *one = arg;
        char path[64], text[32];
        sj_file *file;
        snprintf(path, sizeof(path), "%s/%d", one->folder, one->i);
        int n = snprintf(text, sizeof(text), "file %d\n", one->i);
        int r = sj_file_open(path, O_CREAT | O_WRONLY, 0600, &file, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_file_write(file, text, (size_t)n, SJ_NEVER);
        sj_file_close(file);
        char *bytes;
        if (r >= 0)
                r = sj_file_read_whole(path, sizeof(text), &bytes, &one->read, SJ_NEVER);
        if (r >= 0)
                free(bytes);
        return r;
}

static int tick(void *arg)
{
        while (sj_sleep(1 * SJ_MS) >= 0)
                ++*(int *)arg;
        return 0;
}

static int count(void *arg, const char *name)
{
        (void)name;
        ++*(int *)arg;
        return 0;
}

static int all_files(const char *folder)
{
        static one_file files[FILES];
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FILES; i++) {
                files[i] = (one_file){folder, i, 0};
                int r = sj_spawn(s, write_and_read, &files[i], NULL);
                if (r < 0)
                        return r;
        }
        int r = sj_scope_join(s);
        size_t bytes = 0;
        for (int i = 0; i < FILES; i++)
                bytes += files[i].read;
        printf("%zu bytes were read\n", bytes);
        return r;
}

static int remove_file(void *arg, const char *name)
{
        char path[300];
        snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
        return sj_file_remove(path, SJ_NEVER);
}

static int main_fiber(void *arg)
{
        int ticks = 0, files = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = sj_spawn(s, tick, &ticks, NULL);
        if (r >= 0)
                r = all_files(arg);
        if (r >= 0)
                r = sj_folder_read(arg, count, &files, SJ_NEVER);
        printf("%d files; the loop %s meanwhile\n", files, ticks > 0 ? "lived" : "was blocked");
        sj_folder_read(arg, remove_file, arg, SJ_NEVER);
        sj_folder_remove(arg, SJ_NEVER);
        return r;
}

int main(void)
{
        char folder[] = "/tmp/sanjab-files-XXXXXX";
        return !mkdtemp(folder) || sj_run(main_fiber, folder) < 0;
}
