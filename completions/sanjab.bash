# SPDX-License-Identifier: MIT
#
# Completion of sanjab's commands, options and their values, for bash.

_sanjab_options()
{
        case $1 in
        worker)
                echo --app --broker --pool --concurrency --queues --hostname --loglevel --shared \
                     --help
                ;;
        call)
                echo --args --kwargs --broker --queue --countdown --expires --wait --json --help
                ;;
        result)
                echo --broker --wait --json --help
                ;;
        status)
                echo --broker --json --help
                ;;
        dead)
                echo --broker --queue --all --json --help
                ;;
        purge)
                echo --broker --queues --yes --json --help
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
        -P | --pool)
                compgen -W 'prefork threads fibers solo' -- "$2"
                ;;
        -l | --loglevel)
                compgen -W 'debug info warning error critical' -- "$2"
                ;;
        -b | --broker)
                compgen -W 'sqlite: memory:' -- "$2"
                ;;
        -c | --concurrency | -Q | --queues | -q | --queue | -n | --hostname | -a | --args | -k | \
        --kwargs | --countdown | --expires) ;;
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
                        'worker call result status dead purge help --help --version' -- "$word")
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
        dead:*)
                [ "$COMP_CWORD" -ne 2 ] ||
                        mapfile -t COMPREPLY < <(compgen -W 'list retry drop' -- "$word")
                ;;
        help:*)
                mapfile -t COMPREPLY < <(compgen -W 'worker call result status dead purge' -- \
                        "$word")
                ;;
        esac
}

complete -o bashdefault -F _sanjab sanjab
