#!/usr/bin/env bash
# What the steps of a script and the test programs take.
#
#   tests/took.sh FILE PROGRAM [ARGUMENT...]
#
# runs a program and adds a line about it to the file: cargo's runner in `tests/run`, which also sources this for its own
# steps and for the table at its end. A test program whose name stands in `SKIP` is not run.

# note FILE NAME: adds what passed since the last note of this shell, or since it began: seconds, and of them those of
# processors, in this shell and in all that it has waited for.
note() {
    # A subshell would have no children, so there is no pipe.
    LC_ALL=C times >"$1.times"
    LC_ALL=C awk -v name="$2" -v seconds=$((SECONDS - ${noted_seconds:-0})) -v before="${noted_processor:-0}" '
        { gsub(/[ms]/, " "); processor += $1 * 60 + $2 + $3 * 60 + $4 }
        END { printf "%s\t%d\t%.1f\t%.1f\n", name, seconds, processor - before, processor }' "$1.times" >"$1.line"
    noted_seconds=$SECONDS
    noted_processor=$(cut -f 4 "$1.line")
    cut -f 1-3 "$1.line" >>"$1"
    rm -f "$1.times" "$1.line"
}

# show_notes FILE: the table. A name that begins with a space is a part of the step after it.
show_notes() {
    LC_ALL=C awk -F '\t' '
        function row(name, seconds, processor) { printf "%7d s %9.1f s  %s\n", seconds, processor, name }
        BEGIN { printf "%9s %11s\n", "", "processors" }
        { row($1, $2, $3) }
        $1 !~ /^ / { seconds += $2; processor += $3 }
        END { row("all", seconds, processor) }' "$1"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    file=$1
    shift
    program=$(basename "$1")
    program=${program%-*}
    [[ " ${SKIP-} " != *" $program "* ]] || exit 0
    status=0
    "$@" || status=$?
    note "$file" "  $program"
    exit $status
fi
