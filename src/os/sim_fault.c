/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong by lot: each chance has a name, so that a run can be told which to take.
 *
 * A name is the kind and the number of the chance, not the number of the fault: when one is left
 * out, those that follow keep theirs as long as the program takes the same way. The draw is made
 * all the same, which keeps the whole list the same run as no list.
 */
#include "os/sim_world.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct {
        const char *name;
        sim_stream stream;
} kinds[FAULTS] = {
        [FAULT_SPURIOUS] = {"spurious", SIM_MISCHIEF},
        [FAULT_MISCHIEF] = {"mischief", SIM_MISCHIEF},
        [FAULT_AGAIN] = {"again", SIM_MISCHIEF},
        [FAULT_SHORTEN] = {"shorten", SIM_MISCHIEF},
        [FAULT_TIGHT] = {"tight", SIM_WIRE},
        [FAULT_SPLIT] = {"split", SIM_WIRE},
        [FAULT_RESET] = {"reset", SIM_WIRE},
        [FAULT_SILENCE] = {"silence", SIM_WIRE},
        [FAULT_REFUSE] = {"refuse", SIM_WIRE},
        [FAULT_LOSS] = {"loss", SIM_WIRE},
        [FAULT_TEST] = {"test", SIM_TEST},
};

static bool is_kept(const sim_world *w, uint64_t name)
{
        for (size_t i = 0; i < w->kept_count; i++)
                if (w->kept[i] == name)
                        return true;
        return false;
}

static bool take(sim_world *w, sim_fault kind, bool drawn)
{
        uint64_t chance = w->chances[kind]++;
        bool taken = w->kept ? is_kept(w, chance * FAULTS + kind) : drawn;
        if (taken && w->fault_log)
                fprintf(w->fault_log, "%s:%" PRIu64 ",", kinds[kind].name, chance);
        return taken;
}

bool sim_one_in(sim_world *w, sim_fault kind, unsigned one_in)
{
        return one_in > 0 && take(w, kind, sim_draw_from(w, kinds[kind].stream, one_in) == 0);
}

bool sim_strikes(void)
{
        return take(sim_world_get(), FAULT_TEST, true);
}

/* One name at *at, which then is behind it. */
static uint64_t read_name(const char **at)
{
        for (unsigned kind = 0; kind < FAULTS; kind++) {
                size_t n = strlen(kinds[kind].name);
                if (strncmp(*at, kinds[kind].name, n) != 0 || (*at)[n] != ':')
                        continue;
                char *end;
                uint64_t chance = strtoull(*at + n + 1, &end, 10);
                *at = end + (*end == ',');
                return chance * FAULTS + kind;
        }
        fprintf(stderr, "simulator: %s is not a list of faults\n", *at);
        abort();
}

void sim_keep_faults(const char *names)
{
        sim_world *w = sim_world_get();
        sim_faults_end(w);
        if (!names)
                return;
        w->kept = sim_alloc((strlen(names) + 1) * sizeof(*w->kept));
        while (*names)
                w->kept[w->kept_count++] = read_name(&names);
}

void sim_log_faults(FILE *to)
{
        sim_world_get()->fault_log = to;
}

void sim_faults_end(sim_world *w)
{
        free(w->kept);
        w->kept = NULL;
        w->kept_count = 0;
}
