/* SPDX-License-Identifier: MIT */
/*
 * The other screen of the terminal (xterm's 1049), without a cursor. A picture is written in one
 * go, each line followed by "erase to its end" and the last by "erase what is below", so that
 * nothing flickers.
 */
#include "cli/screen.h"

#include "cli/terminal.h"
#include "os/os.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

struct screen {
        struct termios before;
        bool colours;
        buf picture;
};

int screen_open(screen **ret)
{
        struct termios mode;
        if (!terminal_is(TERMINAL_OUT) || !terminal_is(TERMINAL_IN))
                return -ENOTTY;
        screen *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->colours = terminal_has_colours(TERMINAL_OUT);
        s->picture = BUF_INIT(0);
        if (tcgetattr(TERMINAL_IN, &s->before) < 0) {
                free(s);
                return -ENOTTY;
        }
        /* Keys come at once and are not shown; Ctrl-C stays a signal. */
        mode = s->before;
        mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        mode.c_cc[VMIN] = 0;
        mode.c_cc[VTIME] = 0;
        tcsetattr(TERMINAL_IN, TCSANOW, &mode);
        int r = terminal_write(TERMINAL_OUT, SJ_STR("\033[?1049h\033[?25l"));
        if (r < 0) {
                screen_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

void screen_close(screen *s)
{
        if (!s)
                return;
        terminal_write(TERMINAL_OUT, SJ_STR("\033[?25h\033[?1049l"));
        tcsetattr(TERMINAL_IN, TCSANOW, &s->before);
        buf_fini(&s->picture);
        free(s);
}

void screen_size(const screen *s, size_t *ret_rows, size_t *ret_columns)
{
        struct winsize size = {0};
        (void)s;
        ioctl(TERMINAL_OUT, TIOCGWINSZ, &size);
        *ret_rows = size.ws_row ? size.ws_row : 24;
        *ret_columns = size.ws_col ? size.ws_col : 80;
}

/* As many bytes of the line as take that many columns, one for each character. */
static size_t fitting(sj_str line, size_t columns)
{
        size_t width = 0;
        for (size_t i = 0; i < line.n; i++) {
                bool begins = ((unsigned char)line.data[i] & 0xc0) != 0x80;
                if (begins && width++ == columns)
                        return i;
        }
        return line.n;
}

static int draw_line(screen *s, sj_str line, size_t columns)
{
        bool bold = line.n > 0 && line.data[0] == '\1';
        if (bold)
                line = (sj_str){line.data + 1, line.n - 1};
        line.n = fitting(line, columns);
        if (bold && s->colours)
                buf_append_str(&s->picture, SJ_STR("\033[1m"));
        buf_append_str(&s->picture, line);
        if (bold && s->colours)
                buf_append_str(&s->picture, SJ_STR("\033[0m"));
        return buf_append_str(&s->picture, SJ_STR("\033[K"));
}

int screen_draw(screen *s, sj_str text)
{
        size_t rows, columns;
        screen_size(s, &rows, &columns);
        buf_clear(&s->picture);
        int r = buf_append_str(&s->picture, SJ_STR("\033[H"));
        for (size_t row = 0; row < rows && text.n > 0 && r >= 0; row++) {
                const char *end = memchr(text.data, '\n', text.n);
                sj_str line = {text.data, end ? (size_t)(end - text.data) : text.n};
                if (row > 0)
                        buf_append_str(&s->picture, SJ_STR("\r\n"));
                r = draw_line(s, line, columns);
                size_t used = line.n + (end != NULL);
                text = (sj_str){text.data + used, text.n - used};
        }
        if (r >= 0)
                r = buf_append_str(&s->picture, SJ_STR("\033[J"));
        return r < 0 ? r : terminal_write(TERMINAL_OUT, buf_str(&s->picture));
}

int screen_key(screen *s)
{
        unsigned char key;
        (void)s;
        ssize_t n = os_read(TERMINAL_IN, &key, 1);
        if (n < 0)
                return (int)n;
        return n == 0 ? -EAGAIN : key;
}
