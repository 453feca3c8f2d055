#!/usr/bin/env bash
# The documented walk through bookinfo, with a verdict for each step.
set -euo pipefail

usage() {
  cat <<'TEXT'
Walks through bookinfo as it is documented, wherever it runs, and says for each step whether it
went as it should. Ends with 0 when all did, with 1 when one did not, with 64 when it cannot begin.

  examples/walk.sh                     # http://localhost:32000 and :31200, as Compose starts them
  examples/walk.sh --kubernetes        # rules by the kubeconfig; GATEWAY_URL=http://NODE:32000
  examples/walk.sh -n prod             # every flag is handed on to a8ctl

  GATEWAY_URL         where the page is                        [http://localhost:32000]
  A8_CONTROLLER_URL   where the rules are, and whatever else a8ctl reads
                                                               [http://localhost:31200]
  A8CTL               the command                              [a8ctl, else the one built here]
  WALK_PATIENCE       how many seconds a step may take         [60]
  WALK_SLACK          by how many a page may be late, besides  [0]

The rules that were there are put away while it walks, and are put back at its end; those of a
cluster without the labels and annotations that their objects had.
TEXT
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac

here=$(cd "$(dirname "$0")" && pwd)
gateway=${GATEWAY_URL:-http://localhost:32000}
url=${gateway%/}/productpage/productpage
export A8_CONTROLLER_URL=${A8_CONTROLLER_URL:-http://localhost:31200}
patience=${WALK_PATIENCE:-60}
slack=${WALK_SLACK:-0}
flags=("$@")

# For how many seconds what was started just now is waited for, before it says that it is not there.
start=$((patience < 10 ? patience : 10))
# How often a thing that must always hold is looked at.
looks=10
# By how many pages the split is judged: six standard deviations are nine points then.
pages=1000
# How long a page may take, in milliseconds; and jason's, while ratings are late: twice the three
# seconds that the page waits for reviews.
quick=$((2000 + slack * 1000))
late=(5500 $((7500 + slack * 1000)))
sorry='reviews are currently unavailable'

stop() {
  echo "walk.sh: $1" >&2
  exit 64
}

# ---- What it walks with

find_command() {
  local program
  if [ -n "${A8CTL:-}" ]; then
    type -P "$A8CTL" || stop "A8CTL is $A8CTL, which is no program"
    return
  fi
  for program in a8ctl "$here"/../target/{release,debug}/a8ctl; do
    ! type -P "$program" || return 0
  done
  stop "a8ctl is not on the PATH: run make build.cli, or say with A8CTL where it is"
}

a8ctl() {
  "$command" ${flags[@]+"${flags[@]}"} "$@"
}

# The gateway is named outright: whatever proxy others are asked by, it is not.
ask() {
  curl --silent --show-error --globoff --noproxy '*' --max-time $((late[1] / 1000 + 2)) "$@"
}

# page USER TYPE: the page into $text, and after how many milliseconds into $took. Without a page
# the reason is in $text, and it fails.
page() {
  local cookie=() answer status=000 seconds=0
  [ "$1" = nobody ] || cookie=(--cookie "theme=light; user=$1")
  text='' took=0
  answer=$(ask ${cookie[@]+"${cookie[@]}"} --header "Accept: $2" \
    --write-out '\n%{http_code} %{time_total}' "$url" 2>&1) || {
    text=${answer%$'\n'*}
    return 1
  }
  read -r status seconds <<<"${answer##*$'\n'}"
  text=${answer%$'\n'*}
  took=$((10#${seconds/[.,]/} / 1000))
  [ "$status" = 200 ] || { text="$status $text"; return 1; }
}

# What the page in $1 shows: "v2 black", "v1 no", "none", or "v3 without" when there are no ratings.
shown() {
  local version colors
  [[ $1 =~ \"reviews\":\{\"version\":\"(v[0-9]+)\" ]] || { echo none; return; }
  version=${BASH_REMATCH[1]}
  [[ $1 != *'"ratings_unavailable":true'* ]] || { echo "$version without"; return; }
  colors=$(grep -o '"color":"[a-z]*"' <<<"$1" | sort -u | cut -d'"' -f4 | paste -sd+ -) || true
  echo "$version ${colors:-no}"
}

# within LIMIT COMMAND...: tries until it works. After that many seconds it fails, with what the
# last attempt said in $said.
within() {
  local end=$((SECONDS + $1))
  shift
  until said=$("$@" 2>&1); do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}

# ---- Changes of the rules. A controller that is away is waited for.

# eventually WHAT COMMAND...
eventually() {
  local what=$1 said
  shift
  within "$patience" "$@" || {
    echo "walk.sh: $what: ${said:-no reason was given}" >&2
    return 1
  }
}

save_rules() {
  a8ctl rule-get --all --output json >"$saved"
}

# The answer to a first attempt may be lost: what is there already is replaced.
write() {
  a8ctl rule-create -f "$1" || a8ctl rule-update -f "$1"
}

# delete --all, or delete --id=ID
delete() {
  local left gone='"id"'
  [ "$1" = --all ] || gone="\"${1#--id=}\""
  a8ctl rule-delete --force "$1" || true
  left=$(a8ctl rule-get --all --output json 2>&1) || { echo "$left"; return 1; }
  [[ $left != *"$gone"* ]]
}

create() {
  eventually "rules cannot be created" write "$here/$1"
}

put_back() {
  local code=$?
  trap - EXIT
  kill "$(jobs -p)" 2>/dev/null || true
  if eventually "the walk's rules cannot be deleted" delete --all &&
    { [ -z "$had_rules" ] || eventually "rules cannot be put back" write "$saved"; }; then
    rm -f "$saved"
  else
    echo "walk.sh: the rules that were there are in $saved: a8ctl rule-create -f $saved" >&2
    code=1
  fi
  exit $code
}

# ---- Steps

steps=0 failed=0

# step WHAT COMMAND...: the command says in $verdict what it saw, and fails if that is wrong.
step() {
  local what=$1 word='ok    '
  shift
  steps=$((steps + 1))
  verdict=''
  "$@" || { word=FAILED; failed=$((failed + 1)); }
  printf '  %s %d. %s\n           %s\n' "$word" $steps "$what" "$verdict"
}

# always BECOMES|STAYS WANTED USER...: as many pages in a row as are looked at show each user what
# is wanted. It may be waited for, and so may services that are away; but where it is to stay so,
# another version is a failure at once.
always() {
  local kind=$1 wanted=$2 user seen good=0 others=0 slowest=0 last='' end=$((SECONDS + patience))
  shift 2
  for user; do
    good=0
    while ((good < looks)); do
      seen=none
      ! page "$user" application/json || seen=$(shown "$text")
      if [ "$seen" = "$wanted" ] && ((took <= quick)); then
        good=$((good + 1))
        ((took <= slowest)) || slowest=$took
        continue
      fi
      good=0 others=$((others + 1))
      case $seen in
        none) last="no reviews for $user: ${text:0:200}" ;;
        "$wanted") last="a page for $user took $took ms" ;;
        *) last="reviews $seen stars for $user, not $wanted stars" ;;
      esac
      if ((SECONDS >= end)) || { [ "$kind" = stays ] && [ "${seen% *}" != none ] &&
        [ "${seen% *}" != "${wanted% *}" ]; }; then
        verdict=$last
        return 1
      fi
      sleep 0.1
    done
  done
  verdict="reviews $wanted stars on $looks of $looks pages for $*, the slowest in $slowest ms"
  # How long a change takes, and what was away meanwhile.
  ((others == 0)) || verdict+=$'\n'"           after $others other pages; the last: $last"
}

ratings_are_late() {
  local end=$((SECONDS + patience))
  while true; do
    if ! page jason text/html; then
      verdict="no page: ${text:0:200}"
    elif [[ $text != *"$sorry"* ]]; then
      verdict="the page does not say that $sorry (after $took ms)"
    elif ((took < late[0] || took > late[1])); then
      verdict="the page took $took ms, not about 6 s"
    else
      verdict="after $took ms: $sorry"
      return
    fi
    ((SECONDS < end)) || return 1
  done
}

# Fetches pages over one connection until there are enough, and counts who answered.
split() {
  local v1=0 v3=0 other=0 line seen share batch=100 end=$((SECONDS + patience + pages / 10))
  while ((v1 + v3 < pages)); do
    while read -r line; do
      seen=$(shown "$line")
      case $seen in
        'v1 no') v1=$((v1 + 1)) ;;
        'v3 red') v3=$((v3 + 1)) ;;
        none | *' without') other=$((other + 1)) ;;
        *) verdict="reviews $seen stars"; return 1 ;;
      esac
    done < <(ask --max-time "$patience" --cookie 'user=shriram' --header 'Accept: application/json' \
      --write-out '\n' --config <(yes "url = \"$url\"" | head -n $batch) 2>/dev/null)
    if ((SECONDS >= end)); then
      verdict="only $((v1 + v3)) whole pages in time"
      return 1
    fi
  done
  share=$((1000 * v1 / (v1 + v3)))
  verdict="$((share / 10)).$((share % 10)) % of $((v1 + v3)) pages v1, the others v3 with red stars"
  ((other == 0)) || verdict+=$'\n'"           and $other pages without reviews or ratings"
  ((share >= 160 && share <= 340))
}

canary() {
  local end=$((SECONDS + patience))
  # Until the change is there.
  until page shriram application/json && [ "$(shown "$text")" = 'v3 red' ]; do
    if ((SECONDS >= end)); then
      verdict="nobody gets reviews v3; the last page: $(shown "$text") stars"
      return 1
    fi
    sleep 0.1
  done
  split
}

# ---- The walk

command -v curl >/dev/null || stop "curl is not there"
command=$(find_command)
saved=$(mktemp "${TMPDIR:-/tmp}/walk-rules.XXXXXX")
trap 'rm -f "$saved"' EXIT
within $start save_rules || stop "the rules cannot be read: $said"
had_rules=$(grep -m1 '"id"' "$saved" || true)
within $start ask --output /dev/null "$gateway" ||
  stop "the gateway does not answer (GATEWAY_URL is $gateway): $said"
trap put_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "The walk through bookinfo at $gateway:"
eventually "rules cannot be put away" delete --all
for service in details productpage ratings reviews; do
  create "bookinfo-default-route-$service.yaml"
done
step "default routes: reviews v1 for all" always becomes 'v1 no' nobody jason shriram

create bookinfo-jason-reviews-v2-route-rules.yaml
step "route for jason: he gets reviews v2" always becomes 'v2 black' jason
step "all others keep reviews v1" always stays 'v1 no' nobody shriram

create bookinfo-jason-7s-delay.yaml
# The others ask while jason waits.
others=$(mktemp "${TMPDIR:-/tmp}/walk-others.XXXXXX")
(
  code=0
  always stays 'v1 no' shriram || code=1
  echo "$verdict"
  exit $code
) >"$others" &
waiting=$!
step "ratings 7 s late for jason: no reviews on his page" ratings_are_late
of_others() {
  local code=0
  wait $waiting || code=$?
  verdict=$(cat "$others")
  rm -f "$others"
  return $code
}
step "all others are not slowed down" of_others

eventually "a rule cannot be deleted" delete --id=bookinfo-jason-7s-delay
step "delay taken away: jason gets reviews v2 again" always becomes 'v2 black' jason

eventually "rules cannot be deleted" delete --all
create bookinfo-reviews-routing.yaml
step "canary: a quarter reviews v1, the others v3" canary

echo
echo "$((steps - failed)) of $steps steps as documented"
((failed == 0))
