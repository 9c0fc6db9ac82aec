#!/usr/bin/env bash
# Fetch recorded telephone prompts (English, Spanish, French; G.722, 16 kHz) from Debian's packages for the importer
# `prompts`. Needs apt-get, dpkg-deb and the package lists (`apt-get update`), but no root: nothing is installed.
#
#   tools/fetch_prompts.sh DATA        e.g. tools/fetch_prompts.sh data
#
# Writes DATA/<lang>/**/<name>.g722, DATA/<lang>.txt (transcripts) and DATA/licence/<package>.txt, and prints the
# packages' checksums. The recordings are CC-BY-SA 3.0 (Allison Smith; French: June Wallack), not part of this project.
set -euo pipefail

if [[ $# -ne 1 ]]; then
  echo "usage: tools/fetch_prompts.sh DATA" >&2
  exit 2
fi
for tool in apt-get dpkg-deb; do
  if ! command -v "$tool" > /dev/null; then
    echo "fetch_prompts.sh: expected Debian's $tool, got none; run this on Debian or Ubuntu" >&2
    exit 1
  fi
done
data=$1
for lang in en es fr; do
  if [[ -e $data/$lang || -e $data/$lang.txt ]]; then
    echo "fetch_prompts.sh: $data/$lang: expected no prompts yet, got some; remove $data/$lang and $data/$lang.txt" >&2
    exit 2
  fi
done
mkdir -p "$data"
data=$(cd "$data" && pwd)
temporary=$(mktemp -d "$data/.fetch.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
cd "$temporary"

packages=()
for lang in en es fr; do
  packages+=("asterisk-core-sounds-$lang" "asterisk-core-sounds-$lang-g722")
done
if ! apt-get download "${packages[@]}" >&2; then
  echo "fetch_prompts.sh: expected six packages from apt-get, see above; \`apt-get update\` renews its lists" >&2
  exit 1
fi
sha256sum ./*.deb
for archive in ./*.deb; do
  dpkg-deb -x "$archive" unpacked
done

mkdir -p "$data/licence"
for package in "${packages[@]}"; do
  cp "unpacked/usr/share/doc/$package/copyright" "$data/licence/$package.txt"
done
for lang in en es fr; do
  voices=(unpacked/usr/share/asterisk/sounds/"$lang"_*)
  if [[ ${#voices[@]} -ne 1 || ! -d ${voices[0]} ]]; then
    echo "fetch_prompts.sh: asterisk-core-sounds-$lang-g722: expected one voice, got ${voices[*]}" >&2
    exit 1
  fi
  gunzip -c "unpacked/usr/share/doc/asterisk-core-sounds-$lang/core-sounds-$lang.txt.gz" > "$lang.txt"
  mv "${voices[0]}" "$data/$lang"
  mv "$lang.txt" "$data/$lang.txt"
  echo "$lang: $(find "$data/$lang" -name '*.g722' | wc -l) prompts"
done
