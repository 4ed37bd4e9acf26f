/* SPDX-License-Identifier: MIT */
/* That OpenSSL is there for those who want it, and for nobody else. */
#include "base/unit.h"
#include "os/os.h"

#include <sanjab/net.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static bool has_openssl(void)
{
        char line[4096];
        bool found = false;
        FILE *maps = fopen("/proc/self/maps", "r");
        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps))
                found |= strstr(line, "libssl.so") || strstr(line, "libcrypto.so");
        fclose(maps);
        return found;
}

static void it_is_loaded_when_it_is_first_wanted(void **state)
{
        (void)state;
        char why[SJ_TLS_WHY_MAX];
        sj_tls *tls;
        assert_false(has_openssl());
        assert_int_equal(sj_tls_new(&(sj_tls_options){.insecure = true}, &tls, why), 0);
        assert_true(has_openssl());
        sj_tls_free(tls);
}

/* A program that finds something else in its place. */
static int without_openssl(void)
{
        char why[SJ_TLS_WHY_MAX] = "";
        sj_tls *tls;
        for (int i = 0; i < 2; i++)
                if (sj_tls_new(NULL, &tls, why) != -EOPNOTSUPP || !strstr(why, "libssl.so."))
                        return 1;
        return 0;
}

static void without_it_the_rest_works_and_tls_says_why(void **state)
{
        (void)state;
        char folder[] = "/tmp/sanjab-openssl-XXXXXX";
        char command[PATH_MAX + 400];
        char self[PATH_MAX];
        assert_non_null(mkdtemp(folder));
        assert_int_equal(os_self_path(self, sizeof(self)), 0);
        snprintf(command, sizeof(command),
                 "cd %s && : >libssl.so.3 && LD_LIBRARY_PATH=%s '%s' without; s=$?; rm -r %s; exit "
                 "$s",
                 folder, folder, self, folder);
        int status = system(command);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
        (void)argv;
        if (argc > 1)
                return without_openssl();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_is_loaded_when_it_is_first_wanted),
                cmocka_unit_test(without_it_the_rest_works_and_tls_says_why),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
