#!/usr/bin/env bash
# Write a copy of the repository that can be published: branch main and its tags, without superseded weights and pictures.
# The history here is not touched; all other files of all commits are in the copy. docs/adr/0033 says why.
#   bash scripts/publish.sh ../SlicerDSMSegment.git [PYTHON]
set -euo pipefail
target=${1:?the folder to write, which must not exist}
python=${2:-python3}
root=$(git rev-parse --show-toplevel)
[ ! -e "$target" ] || { echo "$target exists; choose another folder." >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! "$python" -c 'import git_filter_repo' 2>/dev/null; then
  "$python" -m venv "$work/venv"
  python=$work/venv/bin/python
  "$python" -m pip --disable-pip-version-check install -q 'git-filter-repo>=2.45'
fi

git clone -q --bare --no-local --single-branch --branch main "$root" "$work/copy.git"
cd "$work/copy.git"
git remote remove origin
large='\\.(safetensors|png|webp)$'
large_files() { git ls-tree -r "$1" | awk -F'[ \t]' -v large="$large" '$4 ~ large { print $3 }'; }
git for-each-ref --format='%(objectname)' refs/heads refs/tags | while read -r tip; do large_files "$tip"; done | sort -u >"$work/kept"
git rev-list --objects --all | awk -v large="$large" '$2 ~ large { print $1 }' | sort -u >"$work/all"
comm -23 "$work/all" "$work/kept" >"$work/superseded"
if [ -s "$work/superseded" ]; then
  "$python" -m git_filter_repo --quiet --force --strip-blobs-with-ids "$work/superseded"
fi
git reflog expire --expire=now --all
git gc -q --prune=now
cd - >/dev/null
mv "$work/copy.git" "$target"

git clone -q "file://$(cd "$target" && pwd)" "$work/clone"
echo "$(wc -l <"$work/superseded") superseded weights and pictures left out; a full clone with its files takes $(du -sm "$work/clone" | cut -f1) MB."
if ! git -C "$target" describe --exact-match --tags main >/dev/null 2>&1; then
  echo "The tip of main has no tag. Tag what you publish (git tag v0.2.0), so that the next copy continues this one." >&2
fi
echo "Publish it with: git -C $target push --mirror ADDRESS"
