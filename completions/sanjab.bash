# SPDX-License-Identifier: MIT
#
# Completion of sanjab's commands, options and their values, for bash.

_sanjab_options()
{
        case $1 in
        worker)
                echo --app --broker --config --pool --concurrency --queues --hostname --loglevel \
                     --log-format --exclude-queues --task-events --autoscale \
                     --max-tasks-per-child --max-memory-per-child --time-limit --soft-time-limit \
                     --on-error --pidfile --purge --shared --help
                ;;
        call)
                echo --args --kwargs --broker --config --queue --countdown --eta --expires --wait --json \
                     --help
                ;;
        result)
                echo --broker --config --wait --json --help
                ;;
        status)
                echo --broker --config --json --help
                ;;
        inspect)
                echo --broker --config --destination --pattern --timeout --json --help
                ;;
        control)
                echo --broker --config --destination --pattern --timeout --json --terminate \
                     --signal --help
                ;;
        events)
                echo --broker --config --dump --json --count --help
                ;;
        dead)
                echo --broker --config --queue --all --json --help
                ;;
        conf)
                echo --broker --config --json --help
                ;;
        purge)
                echo --broker --config --queues --exclude-queues --yes --json --help
                ;;
        esac
}

# What workers can be asked and told.
_sanjab_words()
{
        case $1 in
        inspect)
                echo active active_queues clock conf memdump memsample objgraph ping query_task \
                     registered report reserved revoked scheduled stats
                ;;
        control)
                echo add_consumer autoscale cancel_consumer disable_events enable_events heartbeat \
                     pool_grow pool_restart pool_shrink rate_limit revoke \
                     revoke_by_stamped_headers shutdown terminate time_limit
                ;;
        esac
}

# What may follow an option that has a value; nothing where that cannot be known.
_sanjab_value()
{
        case $1 in
        -A | --app)
                compgen -f -X '!*.@(c|so)' -- "$2"
                compgen -d -- "$2"
                ;;
        --config)
                compgen -f -X '!*.conf' -- "$2"
                compgen -d -- "$2"
                ;;
        -P | --pool)
                compgen -W 'prefork threads fibers solo' -- "$2"
                ;;
        -l | --loglevel)
                compgen -W 'debug info warning error critical' -- "$2"
                ;;
        --log-format)
                compgen -W 'text json' -- "$2"
                ;;
        --on-error)
                compgen -c -W 'https://' -- "$2"
                ;;
        --pidfile)
                compgen -f -- "$2"
                ;;
        -b | --broker)
                compgen -W 'sqlite: redis:// rediss:// redis+socket:// sentinel:// memory:' -- "$2"
                ;;
        -c | --concurrency | -Q | --queues | -q | --queue | -n | --hostname | -a | --args | -k | \
        --kwargs | --countdown | --eta | --expires | -d | --destination | --pattern | -t | --timeout | --count | \
        -X | --exclude-queues | --autoscale | --max-tasks-per-child | --max-memory-per-child | \
        --time-limit | --soft-time-limit) ;;
        --signal)
                compgen -W 'TERM KILL INT QUIT HUP USR1 USR2' -- "$2"
                ;;
        *)
                return 1
                ;;
        esac
}

_sanjab()
{
        local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
        local command=${COMP_WORDS[1]} values
        COMPREPLY=()
        if [ "$COMP_CWORD" -eq 1 ]; then
                mapfile -t COMPREPLY < <(compgen -W \
                        'worker call result status inspect control events dead purge conf help --help \
                        --version' -- "$word")
                return
        fi
        if values=$(_sanjab_value "$before" "$word"); then
                [ -z "$values" ] || mapfile -t COMPREPLY <<<"$values"
                return
        fi
        case $command:$word in
        *:-*)
                mapfile -t COMPREPLY < <(compgen -W "$(_sanjab_options "$command")" -- "$word")
                ;;
        conf:*)
                [ "$COMP_CWORD" -ne 2 ] ||
                        mapfile -t COMPREPLY < <(compgen -W "$(sanjab conf --json 2>/dev/null |
                                sed -n 's/^  "\([a-z_]*\)".*/\1/p')" -- "$word")
                ;;
        inspect:* | control:*)
                [ "$COMP_CWORD" -ne 2 ] ||
                        mapfile -t COMPREPLY < <(compgen -W "$(_sanjab_words "$command")" -- "$word")
                ;;
        dead:*)
                [ "$COMP_CWORD" -ne 2 ] ||
                        mapfile -t COMPREPLY < <(compgen -W 'list retry drop' -- "$word")
                ;;
        help:*)
                mapfile -t COMPREPLY < <(compgen -W \
                        'worker call result status inspect control events dead purge conf' -- "$word")
                ;;
        esac
}

complete -o bashdefault -F _sanjab sanjab
