/* SPDX-License-Identifier: MIT */
/*
 * A command collects what it shows in a buffer and writes it at its end, whole: so a failure
 * halfway leaves nothing half-said, and stdio, which hides errors until exit, is not needed.
 * Results go to the output, everything else to the error output, so that a pipe gets data alone.
 */
#include "cli/terminal.h"

#include "base/utf8.h"
#include "cli/command.h"
#include "os/os.h"

#include <sanjab/debug.h>
#include <sanjab/fiber.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITE_LIMIT (60 * SJ_SEC) /* that a reader which does not read is waited for */

void terminal_begin(void)
{
        int fd;
        do
                fd = os_open("/dev/null", O_RDWR, 0);
        while (fd >= 0 && fd <= TERMINAL_ERR);
        os_close(fd);
}

const char *terminal_variable(const char *name)
{
        const char *value = getenv(name);
        return value && *value ? value : NULL;
}

bool terminal_is(int fd)
{
        return isatty(fd) == 1;
}

bool terminal_has_colours(int fd)
{
        const char *kind = terminal_variable("TERM");
        return terminal_is(fd) && !terminal_variable("NO_COLOR") && kind &&
               strcmp(kind, "dumb") != 0;
}

/* A terminal or pipe that others have made non-blocking has no room at times. */
static int wait_for_room(int fd)
{
        os_poller *poller;
        int r = os_poller_new(&poller);
        if (r < 0)
                return r;
        r = os_poller_arm(poller, fd, OS_WRITABLE, NULL);
        os_event event;
        if (r >= 0)
                r = os_poller_wait(poller, &event, 1, sj_after(WRITE_LIMIT));
        os_poller_forget(poller, fd);
        os_poller_free(poller);
        return r == 0 ? -ETIMEDOUT : r;
}

int terminal_write(int fd, sj_str text)
{
        while (text.n > 0) {
                ssize_t n = os_write(fd, text.data, text.n);
                if (n == -EAGAIN) {
                        int r = wait_for_room(fd);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (n < 0)
                        return (int)n;
                text.data += n;
                text.n -= (size_t)n;
        }
        return 0;
}

int terminal_show(const buf *text)
{
        int r = terminal_write(TERMINAL_OUT, buf_str(text));
        if (r < 0 && r != -EPIPE)
                return terminal_fault(STATUS_BROKER, "cannot write the output: %s", sj_strerror(r));
        return r < 0 ? STATUS_BROKER : STATUS_OK;
}

int terminal_fault(int status, const char *format, ...)
{
        char text[2048];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        bool colours = terminal_has_colours(TERMINAL_ERR);
        buf line = BUF_INIT(0);
        buf_append_str(&line, sj_str_of(colours ? "\033[31msanjab:\033[0m " : "sanjab: "));
        terminal_append_safe(&line, sj_str_of(text), true);
        buf_append_char(&line, '\n');
        terminal_write(TERMINAL_ERR, buf_str(&line));
        buf_fini(&line);
        return status;
}

static void write_dump(void *arg, const char *text, size_t n)
{
        (void)arg;
        terminal_write(TERMINAL_ERR, (sj_str){text, n});
}

void terminal_dump(void)
{
        sj_dump(write_dump, NULL);
}

bool terminal_confirm(const char *question)
{
        if (!terminal_is(TERMINAL_IN) || !terminal_is(TERMINAL_ERR))
                return false;
        terminal_write(TERMINAL_ERR, sj_str_of(question));
        terminal_write(TERMINAL_ERR, SJ_STR(" [y/N] "));
        char answer[16];
        ssize_t n = os_read(TERMINAL_IN, answer, sizeof(answer));
        return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Whether a terminal could take the character for a command: C0, DEL, C1, or no character. */
static bool is_unsafe(uint32_t c, unsigned length, bool lines)
{
        if (lines && (c == '\n' || c == '\t'))
                return false;
        return length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static int append_bytes(buf *b, const char *bytes, unsigned n)
{
        int r = 0;
        for (unsigned i = 0; i < n && r >= 0; i++)
                r = buf_printf(b, "\\x%02x", (unsigned char)bytes[i]);
        return r;
}

int terminal_append_safe(buf *b, sj_str text, bool lines)
{
        const char *end = text.data + text.n, *plain = text.data;
        int r = 0;
        for (const char *p = text.data; p < end && r >= 0;) {
                uint32_t c = 0;
                unsigned length = utf8_decode(p, end, UTF8_STRICT, &c);
                unsigned step = length ? length : 1;
                if (is_unsafe(c, length, lines)) {
                        r = buf_append(b, plain, (size_t)(p - plain));
                        if (r >= 0)
                                r = append_bytes(b, p, step);
                        plain = p + step;
                }
                p += step;
        }
        return r < 0 ? r : buf_append(b, plain, (size_t)(end - plain));
}
