# SPDX-License-Identifier: Apache-2.0
# The conversation with the shop, and the judgement on each answer. Read by demo.sh, which has started the server.
#
# What is printed behind "$" is what runs. A promise that an answer does not keep ends the demo with exit 1.

if [ -t 1 ]; then
    bold=$'\e[1m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' green='' plain=''
fi

scene() { printf '%s%s%s\n\n' "$bold" "$*" "$plain"; }

promise() { # WHAT COMMAND…
    local what=$1
    shift
    "$@" || fail "this was promised and did not come out: $what"
    printf '    %s-> %s%s\n\n' "$green" "$what" "$plain"
}

typed() { # the words of a command as one would type them
    local word line=''
    for word; do
        case $word in
        '&') line+=' &' ;;
        *[!A-Za-z0-9_./:=-]*) line+=" '$word'" ;;
        *) line+=" $word" ;;
        esac
    done
    printf '    %s$%s%s\n' "$bold" "$line" "$plain"
}

order_command() { # SHOP KEY FORM
    command=(curl -si "http://127.0.0.1:$port/shop/$1" -H "Idempotency-Key: $2" -d "$3")
}

# Prints an answer without what says nothing here: dates, lengths, the server's name.
show() {
    local others='date|server|content-length|connection|keep-alive|x-powered-by|upgrade|cache-control|content-language'
    grep -avEi "^($others):" "$demo/answers/$1" |
        tr -d '\r' | sed 's/^/    /'
    echo
}

ask() { # NAME SHOP KEY FORM: sends an order and keeps the answer as NAME
    order_command "$2" "$3" "$4"
    typed "${command[@]}"
    "${command[@]}" --max-time 30 >"$demo/answers/$1" || fail "curl: no answer"
    show "$1"
}

status_is() { head -n 1 "$demo/answers/$1" | grep -q "^HTTP/1.1 $2 "; }
has() { tr -d '\r' <"$demo/answers/$1" | grep -qix "$2"; }
body() { sed '1,/^\r*$/d' "$demo/answers/$1"; }
same_answer() {
    cmp -s <(body "$1") <(body "$2") &&
        [ "$(head -n 1 "$demo/answers/$1")" = "$(head -n 1 "$demo/answers/$2")" ]
}
first_run() { status_is "$1" 201 && ! has "$1" 'idempotent-replayed: .*'; }
replay_of() { has "$1" 'idempotent-replayed: true' && same_answer "$1" "$2"; }
problem_is() { status_is "$1" "$2" && has "$1" "idempotency-error: $3"; }

fetch_ledger() { curl -s --max-time 30 "http://127.0.0.1:$port/shop/$1" >"$demo/answers/ledger.$1"; }
orders_are() { [ "$(grep -c '^order' "$demo/answers/ledger.$1")" -eq "$2" ]; }
ledger() { # SHOP ORDERS
    typed curl -s "http://127.0.0.1:$port/shop/$1"
    fetch_ledger "$1" || fail "curl: no answer"
    sed 's/^/    /' "$demo/answers/ledger.$1"
    echo
    promise "orders in the ledger: $2" orders_are "$1" "$2"
}

two_at_once() { # SHOP
    touch "$home/bank/closed"
    rm -f "$home/bank/waiting"
    order_command "$1" "$1-chair" 'item=chair&quantity=4'
    typed "${command[@]}" '&'
    "${command[@]}" --max-time 40 >"$demo/answers/$1.first" &
    local first=$!
    until_true 15 test -e "$home/bank/waiting" || fail "the order did not reach the shop"
    echo "    (the shop waits for the bank; meanwhile, the same order once more)"
    echo
    ask "$1.second" "$1" "$1-chair" 'item=chair&quantity=4'
    promise "the second is told to come back later: 409" problem_is "$1.second" 409 in-progress
    rm "$home/bank/closed"
    wait "$first" || fail "curl: no answer"
    echo "    (the bank has answered; so has the first)"
    echo
    show "$1.first"
    promise "the first one was executed" first_run "$1.first"
    ask "$1.third" "$1" "$1-chair" 'item=chair&quantity=4'
    promise "and whoever comes back gets its answer" replay_of "$1.third" "$1.first"
}

talk_to() { # SHOP WHAT
    scene "==== The shop as $2 ===="
    ledger "$1" 0
    scene "1. An order."
    ask "$1.order" "$1" "$1-lamp" 'item=lamp&quantity=1'
    promise "executed, 201" first_run "$1.order"
    scene "2. The same order again: the client did not hear the answer and retries with the same key."
    ask "$1.again" "$1" "$1-lamp" 'item=lamp&quantity=1'
    promise "the first answer, receipt included, from the record; the shop was not asked" \
        replay_of "$1.again" "$1.order"
    ledger "$1" 1
    scene "3. Another order under the same key: a mistake of the client's, and it is told so."
    ask "$1.other" "$1" "$1-lamp" 'item=lamp&quantity=100'
    promise "refused, 422" problem_is "$1.other" 422 key-reused
    scene "4. Two at once: a double click, or a client that does not wait long enough."
    two_at_once "$1"
    ledger "$1" 2
}

restart() {
    scene "==== The server is stopped and started again ===="
    end "$demo/httpd.started"
    echo "    (stopped)"
    start_httpd || fail "httpd did not start again"
    echo "    (started)"
    echo
}

after_restart() { # SHOP WHAT
    scene "5. The first order once more, to the shop as $2."
    ask "$1.late" "$1" "$1-lamp" 'item=lamp&quantity=1'
    promise "still the first answer: the record has survived" replay_of "$1.late" "$1.order"
    ledger "$1" 2
}

dialogue() {
    echo
    echo "A shop that knows nothing of retries, twice: demo/shop/order.cgi and demo/shop/order.php," \
        "on http://127.0.0.1:$port/shop."
    echo "In front of it, httpd with these lines:"
    echo
    fill "$here/idempotency.conf.in" "$demo/idempotency.conf" ''
    sed 's/^/    /' "$demo/idempotency.conf"
    echo
    talk_to cgi "a CGI script"
    talk_to php "a PHP page under FPM"
    restart
    after_restart cgi "a CGI script"
    after_restart php "a PHP page under FPM"
    scene "All promises were kept. The shop is still open:"
    echo "    go on      curl -i http://127.0.0.1:$port/shop/php -H 'Idempotency-Key: mine' -d 'item=table&quantity=1'"
    echo "    see        $demo/: httpd.conf, access.log (each request with its outcome), error.log"
    echo "    stop       make demo-stop"
}
