#!/usr/bin/env bash
# Makes the data of docs/chat.md: data/support-tickets/{train,test}.jsonl, 300 and 100 made-up support tickets as conversations,
# {"messages": [{"role": "user", ..}, {"role": "assistant", ..}, ..]}. An answer names the team and how urgent the ticket is; in every
# fourth conversation the user then asks what to tell the customer. The same rows on every machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
out=data/support-tickets
[ ! -e "$out/test.jsonl" ] || exit 0
mkdir -p data
work=$(mktemp -d data/tmp.XXXXXX)
trap 'rm -rf "$work"' EXIT

# Draws with Park and Miller's generator, whose products stay exact in a double.
awk -v work="$work" '
  function draw(n) { state = state * 16807 % 2147483647; return int(state / 2147483647 * n) + 1 }
  function pick(list,   parts, count) { count = split(list, parts, /\|/); return parts[draw(count)] }
  function message(role, content) { return "{\"role\": \"" role "\", \"content\": \"" content "\"}" }
  BEGIN {
    state = 2023
    split("billing|shipping|accounts|hardware", team, /\|/)
    problem["billing"] = "I was charged twice for the THING|The invoice for my THING shows the wrong amount|My refund for the THING has not arrived|The discount on the THING was not taken off"
    problem["shipping"] = "The parcel with my THING has not come|The THING was sent to my old address|The tracking page has known nothing of my THING for days|The box of the THING came open and half empty"
    problem["accounts"] = "I cannot sign in to register my THING|The code to confirm my THING never comes by mail|My profile no longer lists the THING|I want to change the mail address that my THING is registered with"
    problem["hardware"] = "The THING does not turn on|The screen of my THING flickers|The THING gets hot and smells|A button of my THING is stuck"
    reply["billing"] = "We look at the payment and write to you within two days."
    reply["shipping"] = "We ask the carrier and send you another one if it is lost."
    reply["accounts"] = "We send you a new link, please try it within an hour."
    reply["hardware"] = "Please send it back with the label that we mail you."
    things = "printer|router|camera|kettle|headset|monitor|keyboard|speaker"
    greeting = "Hello, |Hi there, ||Good morning, "
    high = ". I need it today.| and I have asked three times already!|. Customers are waiting."
    low = ". No hurry.|. Whenever you find the time.|. It is not important."
    for (row = 1; row <= 400; ++row) {
      chosen = team[draw(4)]
      urgent = draw(2) == 1
      text = pick(greeting) pick(problem[chosen]) pick(urgent ? high : low)
      gsub(/THING/, pick(things), text)
      line = message("user", text) ", " message("assistant", "Team: " chosen "\\nUrgency: " (urgent ? "high" : "low"))
      if (row % 4 == 0) line = line ", " message("user", "What do we tell the customer?") ", " message("assistant", reply[chosen])
      print "{\"messages\": [" line "]}" > (work "/" (row <= 300 ? "train" : "test") ".jsonl")
    }
  }'
mkdir -p "$out"
mv "$work"/*.jsonl "$out"
say "$out: $(wc -l <"$out/train.jsonl") conversations to train on, $(wc -l <"$out/test.jsonl") to test"
