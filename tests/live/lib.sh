# Paths and helpers shared by up, down and run: sourced, not run.
# shellcheck shell=bash disable=SC2034  # used by the scripts that source this file
live=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=$live/.state
logs=$state/logs
export PYTHONDONTWRITEBYTECODE=1
cache=${DAYBOOK_LIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/daybook-live}

say() { printf '%s\n' "live: $*" >&2; }
die() { say "error: $*"; exit 1; }

# need COMMAND PACKAGE: stops with the package to install when a command is missing.
need() { command -v "$1" >/dev/null || die "$1 is missing; on Debian: apt-get install $2"; }

# quietly NAME COMMAND...: its output goes to a log and is shown only if it fails.
quietly() {
    local log=$logs/$1.log
    "${@:2}" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "failed: ${*:2}"; }
}

# install_venv REQUIREMENTS: a virtual environment with these packages, in $venv.
install_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || die "python3 cannot make a venv; on Debian: apt-get install python3-venv"
    local key
    key=$( (python3 --version; cat "$live/$1") | sha256sum | cut -c1-12)
    venv=$cache/venv-$key
    [[ -f $venv/complete ]] && return
    say "installing the Python packages of $1 into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    quietly pip "$venv/bin/pip" install --disable-pip-version-check --requirement "$live/$1"
    touch "$venv/complete"
}

# A process of ours is one whose command line names our data directory: a process id alone may have been reused.
alive() { # alive NAME
    local pid data
    pid=$(cat "$state/$1.pid" 2>/dev/null) && data=$(cat "$state/data-dir" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$data"
}

# Whether `up` has run and what it started still runs.
is_up() {
    local part
    [[ -f $state/env ]] || return 1
    for part in kafka s3; do
        [[ ! -f $state/$part.pid ]] || alive "$part" || return 1
    done
}

stop() { # stop NAME
    if alive "$1"; then
        local pid
        pid=$(cat "$state/$1.pid")
        kill -TERM "$pid" 2>/dev/null || true
        for _ in $(seq 50); do
            alive "$1" || break
            sleep 0.1
        done
        if alive "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
    fi
    rm -f "$state/$1.pid"
}
