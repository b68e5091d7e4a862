#!/usr/bin/env bash
# Make a virtual environment with everything that `make demo` and `make test` need. Safe to run again.
#   PYTHON=python3.11 bash scripts/setup.sh .venv 5.12
# The second argument says which Slicer's NumPy and SciPy: constraints-slicer-5.10.txt or constraints-slicer-5.12.txt.
set -euo pipefail
venv=$1
versions=(constraints.txt "constraints-slicer-${2:-5.12}.txt")
python=${PYTHON:-python3}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Shared libraries of VTK's off-screen rendering and of Qt, for a machine that has no desktop.
missing=()
for pair in libEGL.so.1:libegl1 libGL.so.1:libgl1 libX11.so.6:libx11-6 libXrender.so.1:libxrender1 \
  libfontconfig.so.1:libfontconfig1 libxkbcommon.so.0:libxkbcommon0 libdbus-1.so.3:libdbus-1-3 \
  libglib-2.0.so.0:libglib2.0-0; do
  ldconfig -p | grep -q "${pair%%:*}" || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if can_install; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" fonts-dejavu-core >/dev/null
  else
    echo "Missing system libraries; install them with: sudo apt-get install ${missing[*]}" >&2
  fi
fi

# Programs without which tests are skipped: a browser for those of the page, a validator of DICOM, a reader of RT
# structure sets.
for pair in chromium:chromium dciodvfy:dicom3tools plastimatch:plastimatch; do
  if ! command -v "${pair%%:*}" >/dev/null && can_install; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${pair##*:}" fonts-dejavu-core >/dev/null \
      || echo "${pair##*:} was not installed; the tests that need it will be skipped." >&2
  fi
done

# Servers that tests talk to. Once installed they start with the machine, so only in a container, where nothing does.
if [ ! -d /run/systemd/system ] && can_install; then
  for pair in "Orthanc:orthanc orthanc-dicomweb" nginx:nginx-light; do
    if ! command -v "${pair%%:*}" >/dev/null; then
      # shellcheck disable=SC2086  # several packages
      (apt-get update -qq && apt-get install -y -qq --no-install-recommends ${pair#*:} >/dev/null) \
        || echo "${pair#*:} was not installed; the tests that need it will be skipped." >&2
    fi
  done
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; $("$python" --version) was found. Set PYTHON=/path/to/python3.11." >&2
  exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || {
  echo "The virtual environment could not be made; on Debian: sudo apt-get install python3-venv" >&2
  exit 1
}
# torch first and alone, so that nothing else decides which build is taken.
"$venv/bin/python" scripts/install_torch.py "${versions[@]}"
# Compiling all that is installed takes as long as downloading it; what is imported is compiled then.
"$venv/bin/python" -m pip --disable-pip-version-check install -q --no-compile "${versions[@]/#/--constraint=}" -e '.[dev]'
