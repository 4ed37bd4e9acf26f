/* SPDX-License-Identifier: MIT */
/* Each cell is made safe as it comes; the widths are taken when all are there. */
#include "cli/table.h"

#include "cli/terminal.h"

#include <stdio.h>

static const char gap[] = "  ";

void table_init(table *t, const char *const heads[], sj_arena *arena)
{
        size_t columns = 0;
        while (heads[columns])
                columns++;
        *t = (table){.heads = heads, .columns = columns, .arena = arena, .cells = BUF_INIT(0)};
}

void table_fini(table *t)
{
        buf_fini(&t->cells);
}

void table_text(table *t, sj_str text)
{
        buf safe = BUF_INIT(0);
        int r = terminal_append_safe(&safe, text, false);
        sj_str cell = {NULL, buf_size(&safe)};
        if (r >= 0)
                cell.data = sj_arena_strndup(t->arena, buf_data(&safe), cell.n);
        if (r >= 0 && !cell.data)
                r = -ENOMEM;
        if (r >= 0)
                r = buf_append(&t->cells, &cell, sizeof(cell));
        buf_fini(&safe);
        if (r < 0 && t->error == 0)
                t->error = r;
}

void table_printf(table *t, const char *format, ...)
{
        char text[512];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        table_text(t, sj_str_of(text));
}

/* Columns of the terminal, where every character takes one. */
static size_t width_of(sj_str text)
{
        size_t width = 0;
        for (size_t i = 0; i < text.n; i++)
                width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
        return width;
}

static bool is_number(const table *t, size_t column)
{
        return t->heads[column][0] == '+';
}

static sj_str head_of(const table *t, size_t column)
{
        return sj_str_of(t->heads[column] + is_number(t, column));
}

static sj_str cell_of(const table *t, size_t i)
{
        return ((const sj_str *)(const void *)buf_data(&t->cells))[i];
}

static size_t column_width(const table *t, size_t column)
{
        size_t n = buf_size(&t->cells) / sizeof(sj_str);
        size_t widest = width_of(head_of(t, column));
        for (size_t i = column; i < n; i += t->columns)
                if (width_of(cell_of(t, i)) > widest)
                        widest = width_of(cell_of(t, i));
        return widest;
}

static int write_cell(const table *t, buf *b, size_t column, sj_str text, size_t width)
{
        int padding = (int)(width - width_of(text));
        bool last = column + 1 == t->columns;
        int r = 0;
        if (is_number(t, column))
                r = buf_printf(b, "%*s", padding, "");
        if (r >= 0)
                r = buf_append_str(b, text);
        if (r >= 0 && !is_number(t, column) && !last)
                r = buf_printf(b, "%*s", padding, "");
        if (r >= 0)
                r = buf_append_str(b, sj_str_of(last ? "\n" : gap));
        return r;
}

int table_write(table *t, buf *b, bool colours)
{
        size_t *widths = sj_arena_alloc(t->arena, t->columns * sizeof(*widths));
        if (!widths && t->error == 0)
                t->error = -ENOMEM;
        if (t->error < 0)
                return t->error;
        int r = colours ? buf_append_str(b, SJ_STR("\033[1m")) : 0;
        for (size_t i = 0; i < t->columns && r >= 0; i++) {
                widths[i] = column_width(t, i);
                r = write_cell(t, b, i, head_of(t, i), widths[i]);
        }
        if (r >= 0 && colours)
                r = buf_append_str(b, SJ_STR("\033[0m"));
        size_t n = buf_size(&t->cells) / sizeof(sj_str);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = write_cell(t, b, i % t->columns, cell_of(t, i), widths[i % t->columns]);
        return r;
}
