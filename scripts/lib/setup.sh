# shellcheck shell=bash
# What every script needs before its work: a Python environment with the project in it, and the programs.
# Sourced, never run. Everything is guarded by stamps in .venv/.framebridge, so that doing it again is quick
# and changes nothing.
#
#   setup [--programs] GROUP...    .venv with the built wheel and these dependency groups of pyproject.toml;
#                                  with --programs, ffmpeg and ImageMagick too, as far as this user may, and for
#                                  the group test what draws documents and traces

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=$ROOT/.venv
PY=$VENV/bin/python
STAMPS=$VENV/.framebridge
unset PYTHONPATH PYTHONHOME

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# quietly COMMAND...: silent while it works; what it said, when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 9<&- </dev/null || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

have() { command -v "$1" >/dev/null 2>&1; }

am_root() { [ "$(id -u)" -eq 0 ]; }

# ---------------------------------------------------------------------------------------------- programs

# install_line apt-name...: the line that installs these packages on this machine.
install_line() {
    local dnf=${*/ffmpeg/ffmpeg-free}
    if have apt-get; then
        echo "sudo apt-get install $*"
    elif have dnf; then
        echo "sudo dnf install ${dnf/imagemagick/ImageMagick}"
    elif have pacman; then
        echo "sudo pacman -S $*"
    elif have apk; then
        echo "sudo apk add $*"
    elif have brew; then
        echo "brew install $*"
    else
        echo "install $* with the package manager of this machine"
    fi
}

# These ask a program who it is: a name on PATH proves nothing (some `convert` is a disk tool, or a stand-in).
ffmpeg_version() {
    local program
    program=${FRAMEBRIDGE_FFMPEG:-$(type -P ffmpeg || true)}
    [ -n "$program" ] || return 1
    "$program" -version 2>/dev/null </dev/null | sed -n '1s/^ffmpeg version \([^ ]*\).*/\1/p' | grep .
}

magick_version() {
    local program
    while IFS= read -r program; do
        "$program" -version 2>/dev/null </dev/null | sed -n '1s/^Version: ImageMagick \([^ ]*\).*/\1/p' | grep . && return
    done < <(printf '%s\n' ${FRAMEBRIDGE_MAGICK:+"$FRAMEBRIDGE_MAGICK"}; type -aP magick convert || true)
    return 1
}

gs_version() {
    local program
    program=${FRAMEBRIDGE_GS:-$(type -P gs || true)}
    [ -n "$program" ] || return 1
    "$program" -version 2>/dev/null </dev/null | sed -n '1s/^.*Ghostscript.* \([0-9][0-9.]*\) .*/\1/p' | grep .
}

# The package with ImageMagick's coder for SVG, where that is Debian's and lacks it: named after its library.
magick_extra() {
    local core
    magick_version >/dev/null && have dpkg-query || return 0
    core=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libmagickcore-*' 2>/dev/null |
        sed -n 's/^installed \(libmagickcore-[67]\.q[a-z0-9-]*-[0-9]*\(t64\)\{0,1\}\)$/\1/p' | head -1)
    [ -z "$core" ] || dpkg-query -W -f '${db:Status-Status}' "$core-extra" 2>/dev/null | grep -qx installed ||
        echo "$core-extra"
}

# Of ffmpeg, ImageMagick and the environment's Python, one a line.
versions() {
    ffmpeg_version || echo none
    magick_version || echo none
    "$PY" -c 'import platform; print(platform.python_version())'
}

apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    am_root && have apt-get || return 1
    say "installing $* with apt"
    # A machine whose package lists are missing or old cannot install at the first try.
    "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 9<&- </dev/null && return
    quietly "${apt[@]}" update || return 1
    quietly "${apt[@]}" install -y --no-install-recommends "$@"
}

# Sets EXTRAS to what stands in for a program that is not to be had.
setup_programs() {
    local missing=()
    ffmpeg_version >/dev/null || missing+=(ffmpeg)
    magick_version >/dev/null || missing+=(imagemagick)
    if [ ${#missing[@]} -gt 0 ] && ! am_root; then
        say "not root, so nothing is installed into the system"
    elif [ ${#missing[@]} -gt 0 ]; then
        apt_install "${missing[@]}" || say "could not install ${missing[*]}"
    fi
    if ! ffmpeg_version >/dev/null; then
        EXTRAS=bundled
        say "ffmpeg is missing: the one that the extra 'bundled' carries is used (it has no ffprobe);" \
            "to get it: $(install_line ffmpeg)"
    fi
    if ! magick_version >/dev/null; then
        say "ImageMagick is missing: still pictures go through ffmpeg; to get it: $(install_line imagemagick)"
    fi
}

# What only the tests need: to draw PDF, PostScript and SVG, to see which files are opened, and to have a screen and a
# clipboard.
setup_witnesses() {
    local package
    for package in $(gs_version >/dev/null || echo ghostscript) $(magick_extra) $(have strace || echo strace) \
        $(have Xvfb || echo xvfb) $(have xclip || echo xclip) $(have ip || echo iproute2); do
        (am_root && apt_install "$package") ||
            say "without $package some tests cannot run; to get it: $(install_line "$package")"
    done
}

# ------------------------------------------------------------------------------------------- environment

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            type -P "$name"
            return
        fi
    done
    return 1
}

can_make_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Debian keeps ensurepip in a package that only root may install, but anybody may fetch and unpack pip's own
# wheel, and a wheel of pip runs as it is. The package lists are fetched into a private folder where the
# system has none.
pip_from_debian() {
    local python=$1 dir
    have apt-get && have dpkg-deb || return 1
    dir=$(mktemp -d)
    (
        cd "$dir" || exit
        mkdir -p state/lists/partial cache/archives/partial wheel
        own=(-o "Dir::State=$dir/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$dir/cache")
        apt-get -q download python3-pip-whl || {
            apt-get -q "${own[@]}" update || true # a hook of the system's may fail for a normal user
            apt-get -q "${own[@]}" download python3-pip-whl
        } || exit
        dpkg-deb -x python3-pip-whl_*.deb wheel || exit
        "$python" -m venv --without-pip "$VENV" || exit
        "$PY" "$(echo wheel/usr/share/python-wheels/pip-*.whl)/pip" install 'pip>=25.1'
    )
    local status=$?
    rm -rf "$dir"
    return "$status"
}

make_venv() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! can_make_venv "$python"; then
        apt_install "python$version-venv" || true
    fi
    if can_make_venv "$python"; then
        quietly "$python" -m venv "$VENV"
    elif have apt-get && quietly pip_from_debian "$python"; then
        return 0
    elif have uv; then
        rm -rf "$VENV" # the attempt before may have left a half-made one
        quietly uv venv --quiet --seed --python "$python" "$VENV"
    elif have virtualenv; then
        rm -rf "$VENV"
        quietly virtualenv --quiet --python "$python" "$VENV"
    else
        die "$python cannot make an environment (it has no ensurepip). To get that: $(install_line python3-venv)"
    fi
}

venv_works() {
    [ -x "$PY" ] || return 1
    # A folder that was moved or copied is full of absolute names of where it was.
    [ ! -e "$STAMPS/root" ] || [ "$(cat "$STAMPS/root")" = "$ROOT" ] || return 1
    "$PY" -c 'import sys; from importlib.util import find_spec
sys.exit(sys.version_info < (3, 11) or find_spec("pip") is None)' >/dev/null 2>&1
}

setup_venv() {
    local python
    if ! venv_works; then
        if [ -d "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
            die "$VENV is in the way: it is not a Python environment"
        fi
        rm -rf "$VENV"
        python=$(find_python) || die "no Python 3.11 or newer on PATH. To get one: $(install_line python3 python3-venv)"
        say "making .venv with $("$python" --version)"
        make_venv "$python" || die "could not make .venv"
    fi
    mkdir -p "$STAMPS"
    stamped pip "$(fingerprint "$ROOT/pyproject.toml")" && return
    pip install --upgrade 'pip>=25.1' || die "could not bring pip up to date" # the first with --group
    pip install --group build || die "could not install what builds the wheel"
    printf '%s\n' "$ROOT" >"$STAMPS/root"
    stamp pip "$(fingerprint "$ROOT/pyproject.toml")"
}

pip() { quietly "$PY" -m pip --quiet --no-input --disable-pip-version-check "$@"; }

# ----------------------------------------------------------------------------------------------- project

hash_of_stdin() {
    if have sha256sum; then sha256sum; elif have shasum; then shasum -a 256; else cksum; fi
}

# fingerprint PATH...: of the names and contents of these files and of all below these folders.
fingerprint() {
    find "$@" -type f ! -name '*.pyc' -print 2>/dev/null | LC_ALL=C sort | tr '\n' '\0' |
        xargs -0 cksum | hash_of_stdin | cut -d' ' -f1
}

stamp() { printf '%s\n' "$2" >"$STAMPS/$1"; }

stamped() { [ -e "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]; }

build_wheel() {
    rm -rf "$STAMPS/dist"
    (cd "$ROOT" && quietly "$PY" -m hatchling build -t wheel -d "$STAMPS/dist") || die "could not build the wheel"
}

wheel() { echo "$STAMPS"/dist/framebridge-*.whl; }

setup_project() {
    local group wanted source needs missing=()
    needs=$(fingerprint "$ROOT/pyproject.toml")
    source=$(cd "$ROOT" && fingerprint pyproject.toml README.md LICENSE bridge workers/bridge_workers)
    for wanted in "$@" ${EXTRAS:+"extra-$EXTRAS"}; do
        stamped "$wanted" "$needs" || missing+=("$wanted")
    done
    if ! stamped wheel "$source"; then
        build_wheel
        # Without --force-reinstall pip keeps what is there, as the version is the same.
        ! stamped needs "$needs" ||
            pip install --no-deps --force-reinstall "$(wheel)" || die "could not install the wheel"
    fi
    if ! stamped needs "$needs" || [ ${#missing[@]} -gt 0 ]; then
        say "installing the project and ${*:-nothing else}${EXTRAS:+ and the extra $EXTRAS} into .venv"
        # shellcheck disable=SC2046 # one word a group
        (cd "$ROOT" && pip install "$(wheel)${EXTRAS:+[$EXTRAS]}" $(printf -- '--group %s ' "$@")) ||
            die "could not install the project and its dependencies"
        stamped needs "$needs" || pip install --no-deps --force-reinstall "$(wheel)" ||
            die "could not install the wheel"
        for group in "${missing[@]+"${missing[@]}"}"; do stamp "$group" "$needs"; done
        stamp needs "$needs"
    fi
    stamp wheel "$source"
}

# ------------------------------------------------------------------------------------------------- setup

setup() {
    EXTRAS=
    exec 9<"$ROOT/scripts/lib/setup.sh"
    ! have flock || flock 9 # two scripts at once: the second waits, and finds all done
    if [ "${1:-}" = --programs ]; then
        shift
        setup_programs
        [[ " $* " != *" test "* ]] || setup_witnesses
    fi
    cd "$ROOT" || exit
    setup_venv
    setup_project "$@"
    exec 9<&-
}
