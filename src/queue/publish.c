/* SPDX-License-Identifier: MIT */
/*
 * A publish that fails because the broker cannot be reached is tried again, at Celery's intervals.
 * Nothing else is: what is malformed stays so, and what ran out of time has none left.
 *
 * A client that makes its connection again by itself would wait for it until the deadline, and a
 * policy would never be asked. So where one was given, each try is for one attempt to connect.
 * Where none was, the wait is what a program wants whose broker is only being restarted.
 *
 * A connection that was lost in the middle leaves open whether the messages have arrived. A broker
 * that knows ids answers -EEXIST to the second attempt then, which is as good as 0. One that does
 * not gets them twice: at least once is the promise.
 */
#include "queue/publish.h"

#include "os/os.h"

#include <sanjab/fiber.h>

#include <stdatomic.h>

#define PUBLISH_RETRIES       3
#define PUBLISH_STEP          0.2
#define PUBLISH_INTERVAL_MOST 1.0
#define PUBLISH_SECONDS_MOST  1e9

static bool seconds_ok(double seconds)
{
        return seconds >= 0 && seconds <= PUBLISH_SECONDS_MOST;
}

bool publish_policy_ok(const sj_retry_policy *p)
{
        return seconds_ok(p->interval_start) && seconds_ok(p->interval_step) &&
               seconds_ok(p->interval_max) &&
               (p->max_retries >= 0 || p->max_retries == SJ_NO_RETRIES ||
                p->max_retries == SJ_RETRY_FOREVER);
}

/*
 * Whether the broker may be there the next time. An attempt to connect that took too long passes,
 * too; when it was the deadline that has passed, there is no next time.
 */
static bool publish_may_pass(int error)
{
        static const int passing[] = {ECONNREFUSED, ECONNRESET,  ECONNABORTED, EPIPE,  ENOTCONN,
                                      EHOSTUNREACH, ENETUNREACH, ENETDOWN,     EAGAIN, EHOSTDOWN,
                                      EROFS,        ENXIO,       ETIMEDOUT};
        for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
                if (error == -passing[i])
                        return true;
        return false;
}

static bool publish_has_retry(const sj_retry_policy *p, int retry)
{
        if (p->max_retries == SJ_RETRY_FOREVER)
                return true;
        int most = p->max_retries ? p->max_retries : PUBLISH_RETRIES;
        return most > 0 && retry < most;
}

static sj_time publish_interval(const sj_retry_policy *p, int retry)
{
        double step = p->interval_step > 0 ? p->interval_step : PUBLISH_STEP;
        double most = p->interval_max > 0 ? p->interval_max : PUBLISH_INTERVAL_MOST;
        double seconds = p->interval_start + step * retry;
        return (sj_time)((seconds < most ? seconds : most) * 1e9);
}

/* In a fiber or in a thread without a loop. -ECANCELED. */
static int publish_pause(sj_time until)
{
        _Atomic uint32_t nobody = 0;
        if (sj_fiber_self())
                return sj_sleep_until(until);
        while (sj_now() < until)
                os_futex_wait(&nobody, 0, until, false);
        return 0;
}

static bool publish_policy_given(const sj_retry_policy *p)
{
        return p->max_retries || p->interval_start > 0 || p->interval_step > 0 ||
               p->interval_max > 0;
}

/* After a try that ended so: 1, at the time for the next one; else what it comes to. */
static int publish_again(int r, const sj_retry_policy *policy, int retry, sj_time deadline)
{
        if (!publish_may_pass(r) || !publish_has_retry(policy, retry))
                return r;
        sj_time next = sj_after(publish_interval(policy, retry));
        if (next >= deadline)
                return r;
        r = publish_pause(next);
        return r < 0 ? r : 1;
}

static int publish_batch(broker *b, const broker_message messages[], size_t n,
                         broker_published ret[], const sj_retry_policy *policy, sj_time deadline)
{
        int (*try)(broker *, const broker_message[], size_t, broker_published[], sj_time) =
                publish_policy_given(policy) ? broker_publish_once : broker_publish;
        for (int retry = 0;; retry++) {
                int r = try(b, messages, n, ret, deadline);
                if (r == -EEXIST && retry > 0 && broker_can(b, BROKER_UNIQUE_IDS)) {
                        for (size_t i = 0; ret && i < n; i++) {
                                ret[i] = (broker_published){.duplicate = false};
                                memcpy(ret[i].id, messages[i].id.data, messages[i].id.n);
                        }
                        return 0;
                }
                r = publish_again(r, policy, retry, deadline);
                if (r <= 0)
                        return r;
        }
}

int publish_reach(broker *b, const sj_retry_policy *policy, sj_time deadline)
{
        if (!publish_policy_given(policy))
                return 0;
        for (int retry = 0;; retry++) {
                int r = publish_again(broker_reach(b, deadline), policy, retry, deadline);
                if (r <= 0)
                        return r;
        }
}

int publish_all(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                const sj_retry_policy *policy, sj_time deadline)
{
        for (size_t i = 0; ret && i < n; i++)
                ret[i].id[0] = 0;
        for (size_t i = 0; i < n; i += BROKER_BATCH_MAX) {
                size_t some = n - i < BROKER_BATCH_MAX ? n - i : BROKER_BATCH_MAX;
                int r = publish_batch(b, messages + i, some, ret ? ret + i : NULL, policy,
                                      deadline);
                if (r < 0)
                        return r;
        }
        return 0;
}
